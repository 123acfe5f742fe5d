//! Tests of sending code: values that can be sent, values that are refused, and bytes that are damaged.

use super::*;
use crate::error::ErrorKind;

/// An object that is recreated by the code of its type.
trait Speak: Send {
    fn speak(&self) -> String;
    fn save(&self, to: &mut Saver) -> Result<()>;
}

struct Twice<F> {
    word: String,
    op: F,
}

portable! {
    [F] Twice<F> { word: data, op: code }
}

impl<F: Fn(&str) -> String + Send + 'static> Speak for Twice<F> {
    fn speak(&self) -> String {
        (self.op)(&self.word)
    }

    fn save(&self, to: &mut Saver) -> Result<()> {
        to.entry(entry::<F>())?;
        Portable::save(self, to)
    }
}

fn entry<F: Fn(&str) -> String + Send + 'static>() -> &'static FunctionEntry<Box<dyn Speak>> {
    const { &FunctionEntry::of::<Twice<F>>(load::<F>) }
}

fn load<F: Fn(&str) -> String + Send + 'static>(from: &mut Loader<'_>) -> Result<Box<dyn Speak>> {
    Ok(Box::new(Twice::<F>::load(from)?))
}

fn twice<F: Fn(&str) -> String + Send + 'static>(op: F) -> Box<dyn Speak> {
    let word = "ab".to_owned();
    Box::new(Twice { word, op })
}

fn saved(speaker: &dyn Speak) -> Result<Vec<u8>> {
    let mut to = Saver::new();
    speaker.save(&mut to)?;
    Ok(to.into_bytes())
}

fn loaded(bytes: &[u8]) -> Result<Box<dyn Speak>> {
    let mut from = Loader::new(bytes);
    let speaker = from.entry()?;
    from.finish()?;
    Ok(speaker)
}

#[test]
fn code_comes_back_with_its_state() {
    // Both closures compile to the same code, possibly to one function. Each must be recreated as itself.
    let speakers = [
        twice(|word| word.repeat(2)),
        twice(|word| word.repeat(2)),
        twice(|word| word.to_uppercase()),
        twice(str::to_owned),
    ];
    let said = speakers.map(|speaker| loaded(&saved(&*speaker).unwrap()).unwrap().speak());
    assert_eq!(said, ["abab", "abab", "AB", "ab"]);
}

#[test]
fn closures_with_bytes_or_a_drop_are_refused() {
    struct Loud;

    impl Drop for Loud {
        fn drop(&mut self) {}
    }

    let n = std::hint::black_box(2);
    let loud = Loud;
    let refused = [
        twice(move |word| word.repeat(n)),
        twice(move |word| {
            let _ = &loud;
            word.to_owned()
        }),
    ];
    for speaker in refused {
        let error = saved(&*speaker).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::CapturingClosure { .. }));
    }
    assert!(closure::revive::<u8>().is_none());
    assert!(closure::revive::<Loud>().is_none());
}

/// Returns the error of `FunctionEntry::at` for an offset and a check.
fn at<R: 'static>(offset: u64, check: u64) -> Result<(), String> {
    FunctionEntry::<R>::at(offset, check).map(|_| ())
}

#[test]
fn entries_are_checked_before_they_are_called() {
    let entry = entry::<fn(&str) -> String>();
    let (offset, check) = (entry.offset().unwrap(), entry.check());
    assert_eq!(at::<Box<dyn Speak>>(offset, check), Ok(()));
    let refused = |offset, check| at::<Box<dyn Speak>>(offset, check).unwrap_err();
    assert_eq!(refused(offset, check + 1), "an entry of other code");
    assert_eq!(
        at::<u8>(offset, check).unwrap_err(),
        "an entry of another kind"
    );
    assert_eq!(
        refused(offset + 1, check),
        "a function entry that is not aligned"
    );
    assert_eq!(
        refused(offset + 8, check),
        "a function entry with a wrong header"
    );
    for outside in [u64::MAX, u64::MAX / 2, 1 << 40] {
        assert_eq!(
            refused(outside, check),
            "a function entry outside of the executable"
        );
    }
}

#[test]
fn entries_that_are_written_to_or_of_the_heap_are_refused() {
    let entry: &'static FunctionEntry<u8> = Box::leak(Box::new(FunctionEntry::of::<u8>(|_| Ok(1))));
    let mut to = Saver::new();
    let site = Site::new("map");
    to.site(site).unwrap();
    let error = to.entry(entry).unwrap_err();
    let context = error.context().unwrap();
    assert_eq!(
        (context.operator, context.location),
        (Some("map"), Some(site.location))
    );
    assert!(error.to_string().contains("shared library"), "{error}");
}

#[test]
fn wherever_an_offset_leads_nothing_but_its_entry_is_called() {
    let entry = entry::<fn(&str) -> String>();
    let (offset, check) = (entry.offset().unwrap(), entry.check());
    for other in (offset.saturating_sub(1 << 16)..offset + (1 << 16)).filter(|at| *at != offset) {
        assert!(at::<Box<dyn Speak>>(other, check).is_err());
    }
}

#[test]
fn bytes_that_are_cut_short_or_too_long_are_refused() {
    let mut bytes = saved(&*twice(str::to_owned)).unwrap();
    for len in 0..bytes.len() {
        assert!(loaded(&bytes[..len]).is_err());
    }
    bytes.push(0);
    let error = loaded(&bytes).err().unwrap();
    assert!(
        error.to_string().contains("1 bytes are left over"),
        "{error}"
    );
}
