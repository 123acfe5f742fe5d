//! The token by which a worker knows its driver.

use std::fmt::{self, Display, Formatter};
use std::io;

use serde::{Deserialize, Serialize};

/// What nobody else knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DriverToken(String);

impl DriverToken {
    /// One that nobody can guess.
    pub(super) fn new() -> io::Result<Self> {
        let mut bytes = [0_u8; 16];
        let mut filled = 0;
        while filled < bytes.len() {
            filled += rustix::rand::getrandom(
                &mut bytes[filled..],
                rustix::rand::GetRandomFlags::empty(),
            )?;
        }
        Ok(Self(format!("{:032x}", u128::from_le_bytes(bytes))))
    }

    /// One that is written as `text`.
    pub(super) fn parse(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The line that a worker prints for the driver to know how far its output has come. No program prints it by chance.
    pub(super) fn mark(&self) -> String {
        format!("[holdall {}]", self.0)
    }
}

impl Display for DriverToken {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
