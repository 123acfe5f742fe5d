//! Saved bags in a store.

use std::fs;

use holdall::{BagWriter, ErrorKind};
use holdall_test_extensions::{Call, Failing, Fault, Store};

use crate::{Files, names_in, on_each, quiet_panics, threads};

const PATH: &str = "store://bucket/bag";

#[test]
fn a_bag_is_saved_and_loaded() {
    let files = Files::new();
    let store = files.store();
    on_each(&store, |context| {
        let pairs = context.range(0..2_000_u64).map(|n| (n % 100, n));
        let sums = pairs.sum_by_key().shuffle_partitions(3);
        let writer = BagWriter::new().overwrite(true);
        let loaded = writer.checkpoint(&sums, PATH).unwrap();
        assert_eq!(loaded.collect().unwrap(), sums.collect().unwrap());
        let again = context.load::<(u64, u64)>(PATH).unwrap().sum_by_key();
        assert_eq!(again.count().unwrap(), 100);
        assert_eq!(context.last_job().unwrap().stages.len(), 1);

        // From the bag itself, with fewer files.
        let fewer = writer.checkpoint(&loaded.coalesce(2), PATH).unwrap();
        assert_eq!(fewer.count().unwrap(), 100);
        let names = ["_bag", "part-00000", "part-00001"];
        assert_eq!(names_in(&store.root.join("bucket/bag")), names);
        assert_eq!(names_in(&store.uploads), [""; 0]);
        // Other bags begin with the same letters.
        let other = context
            .range(0..3)
            .checkpoint("store://bucket/bag2")
            .unwrap();
        assert_eq!(other.count().unwrap(), 3);
        fs::remove_dir_all(store.root.join("bucket/bag2")).unwrap();
        let error = context.range(0..3).save(PATH).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::OutputExists { .. }),
            "{error}"
        );
    });
    let error = threads(&store)
        .load::<u64>("store://bucket/none")
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoInput { .. }), "{error}");
}

#[test]
fn lost_connections_do_not_matter_and_other_errors_do() {
    let files = Files::new();
    let store = files.store();
    threads(&store).range(0..100_000_u64).save(PATH).unwrap();
    for ahead_bytes in [0, 100_000] {
        for fault in [
            Fault::Refuses,
            Fault::BreaksAfter(2_000),
            Fault::EndsAfter(2_000),
        ] {
            let store = Store {
                fault,
                ahead_bytes,
                ..store.clone()
            };
            on_each(&store, |context| {
                let numbers = context.load::<u64>(PATH).unwrap();
                assert_eq!(numbers.sum::<u64>().unwrap(), 100_000 * 99_999 / 2);
            });
        }
        let store = Store {
            fault: Fault::ReadAt(500, Failing::ForGood),
            ahead_bytes,
            ..store.clone()
        };
        on_each(&store, |context| {
            let numbers = context.load::<u64>(PATH);
            let error = numbers.and_then(|numbers| numbers.count()).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Io { .. }), "{error}");
            assert!(error.to_string().contains("store://bucket/bag/"), "{error}");
        });
    }
}

#[test]
fn a_store_that_fails_while_it_is_written_has_nothing_or_the_old_bag() {
    quiet_panics();
    for call in [
        Call::Begin,
        Call::Create,
        Call::Write,
        Call::Finish,
        Call::Commit,
    ] {
        let files = Files::new();
        let store = Store {
            fault: Fault::In(call),
            ..files.store()
        };
        on_each(&store, |context| {
            let numbers = context.range_partitioned(0..100_000_u64, 3);
            let error = numbers.save(PATH).unwrap_err();
            assert!(error.is_io(), "{error}");
            assert_eq!(names_in(&store.uploads), [""; 0]);
        });
    }
}

#[test]
fn a_file_that_is_replaced_is_noticed() {
    let files = Files::new();
    let store = files.store();
    let context = threads(&store);
    context.range_partitioned(0..10_u64, 1).save(PATH).unwrap();
    let bag = context.load::<u64>(PATH).unwrap();
    let path = store.root.join("bucket/bag/part-00000");
    let content = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, [&content[..], b"x"].concat()).unwrap();
    let error = bag.count().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::InputChanged { .. }),
        "{error}"
    );
}
