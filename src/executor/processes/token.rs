//! The token by which a worker recognises its driver.

use std::fmt::{self, Display, Formatter};
use std::io;

use serde::{Deserialize, Serialize};

/// A secret between a driver and a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DriverToken(String);

impl DriverToken {
    /// Creates a random token.
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

    /// Creates the token with this text.
    pub(super) fn parse(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Line that a worker prints to show the driver how much of its output has arrived. No program prints it by chance.
    pub(super) fn mark(&self) -> String {
        format!("[holdall {}]", self.0)
    }
}

impl Display for DriverToken {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
