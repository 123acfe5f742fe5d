//! Bugs that were found, each with the sentence that says what was wrong.

mod common;

use holdall::{Context, ErrorKind, Executor, TextReader};
use serde::{Deserialize, Serialize};

use common::{Files, on_every_executor};

/// A bag with a state could not be printed, although a bag can.
#[test]
fn a_bag_with_a_state_can_be_printed() {
    let text = format!("{:?}", holdall::range(0..10).with(42));
    assert!(
        text.starts_with(
            "BagWith { bag: Bag { operator: \"range\", location: tests/regressions.rs:"
        ),
        "{text}"
    );
    assert!(text.ends_with("state: 42 }"), "{text}");
}

/// On a pool of no threads nothing ran, and each action gave what it gives for an empty bag.
#[test]
fn a_pool_without_threads_is_refused() {
    let error = Context::builder()
        .executor(Executor::ThreadPool(0))
        .build()
        .unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::InvalidSetting {
                setting: "executor",
                ..
            }
        ),
        "{error}"
    );
}

/// A size of partitions that cannot be was refused under a name that is known inside only.
#[test]
fn partition_bytes_are_refused_by_their_name() {
    let files = Files::new();
    let error = TextReader::new()
        .partition_bytes(0)
        .read(files.write("f", "text"))
        .unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::InvalidSetting {
                setting: "partition_bytes",
                ..
            }
        ),
        "{error}"
    );
}

/// The words of a type about itself came as `OtherString("…")`.
#[test]
fn a_type_that_cannot_be_carried_says_so_itself() {
    #[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(try_from = "u8", into = "u8")]
    struct Even(u8);

    impl TryFrom<u8> for Even {
        type Error = &'static str;

        fn try_from(n: u8) -> Result<Self, &'static str> {
            if n.is_multiple_of(2) {
                Ok(Self(n))
            } else {
                Err("it is odd")
            }
        }
    }

    impl From<Even> for u8 {
        fn from(even: Even) -> Self {
            even.0
        }
    }

    on_every_executor(|context| {
        let keys = context.from_vec(vec![Even(2), Even(3)]);
        let error = keys.distinct().count().unwrap_err();
        let ErrorKind::Codec { reason, .. } = error.kind() else {
            panic!("{error}");
        };
        assert_eq!(reason, "it is odd");
    });
}
