//! Identifies the build of this program.

use std::fs::File;
use std::io::{self, Read};
use std::sync::OnceLock;

use ring::digest::{Context, SHA256};

/// Returns the hash of the executable. The code of closures is sent as addresses in it, so the driver and its workers
/// must have the same.
///
/// # Errors
///
/// Returns an error if the executable cannot be read.
pub(crate) fn fingerprint() -> io::Result<&'static str> {
    static FINGERPRINT: OnceLock<String> = OnceLock::new();
    if let Some(known) = FINGERPRINT.get() {
        return Ok(known);
    }
    let mut program = File::open("/proc/self/exe")?;
    let mut hash = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match program.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => hash.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let bytes = hash.finish();
    let hex = bytes.as_ref().iter().map(|byte| format!("{byte:02x}"));
    Ok(FINGERPRINT.get_or_init(|| hex.collect()))
}
