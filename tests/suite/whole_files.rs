//! Whole files as records, and records of a fixed length: their order, their content, and their errors.

use std::fs;
use std::io::Read;

use holdall::ErrorKind;

use crate::common::{Files, on_every_executor_and_processes};

#[test]
fn files_are_records() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        files.write("a.txt", "\u{feff}one\n");
        files.write_gzip("b.gz", &[b"two\n", b"three\n"]);
        files.write("c.bin", vec![0xff; 3 << 20]);
        for n in 0..200 {
            files.write(&format!("small/{n:03}"), format!("{n}"));
        }
        let bag = context.read_files(files.root()).unwrap();
        assert!((4..10).contains(&bag.partitions().unwrap()));
        let contents = bag.clone().try_map(|file| file.read());
        let contents = contents.collect().unwrap();
        assert_eq!(contents.len(), 203);
        assert_eq!(contents[0], "\u{feff}one\n".as_bytes());
        assert_eq!(contents[1], b"two\nthree\n");
        assert_eq!(contents[202], b"199");
        let texts = bag.clone().filter(|file| !file.path().ends_with("c.bin"));
        let texts = texts.try_map(|file| file.read_text()).collect().unwrap();
        assert_eq!((&*texts[0], &*texts[2]), ("one\n", "0"));
        let tails = bag.clone().try_map(|file| {
            let mut tail = Vec::new();
            file.open(file.bytes() - 1..file.bytes())?
                .read_to_end(&mut tail)?;
            Ok::<_, holdall::Error>(tail)
        });
        assert_eq!(tails.last().unwrap(), Some(b"9".to_vec()));

        let error = bag
            .clone()
            .try_map(|file| file.read_text())
            .count()
            .unwrap_err();
        let place = error.context().unwrap();
        assert_eq!(place.path.as_deref(), Some(&*files.path("c.bin")));
        assert!(
            error.to_string().contains("c.bin: invalid UTF-8 at byte 0"),
            "{error}"
        );
        fs::write(files.path("a.txt"), "changed").unwrap();
        let error = bag.try_map(|file| file.read()).count().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Closure { .. }), "{error}");
        assert!(error.to_string().contains("it has changed"), "{error}");
    });
}

#[test]
fn records_of_a_fixed_length_are_cut_at_multiples() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let numbers = |count: u32| {
            (0..count).flat_map(|n| [n.to_be_bytes().to_vec(), b"abc".to_vec()].concat())
        };
        files.write("a", numbers(500_000).collect::<Vec<_>>());
        files.write("b", numbers(3).collect::<Vec<_>>());
        files.write("c", "");
        let records = context.read_fixed_length(files.root(), 7).unwrap();
        assert_eq!(records.partitions(), Some(5));
        let read = records
            .clone()
            .map(|record| u32::from_be_bytes(record[..4].try_into().unwrap()));
        assert!(
            read.collect()
                .unwrap()
                .into_iter()
                .eq((0..500_000).chain(0..3))
        );
        let error = records.try_map(|record| match record[..4] {
            [0, 7, 0x80, 0] => Err("on purpose"),
            _ => Ok(()),
        });
        let error = error.count().unwrap_err();
        let place = error.context().unwrap();
        assert_eq!(
            (place.record, place.offset),
            (Some(491_521), Some(7 * 491_520))
        );
        let error = context.read_fixed_length(files.path("a"), 6).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("has 3500000 bytes, which is not a multiple of 6"),
            "{error}"
        );
        let error = context.read_fixed_length("/dev/null", 6).unwrap_err();
        assert!(
            error.to_string().contains("it is a pipe or a device"),
            "{error}"
        );
        let error = context.read_fixed_length(files.path("a"), 0).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::InvalidSetting { .. }),
            "{error}"
        );
    });
}
