//! Bugs that were found, each with the sentence that says what was wrong.

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
