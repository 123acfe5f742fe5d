//! Records as bytes.
pub(crate) mod codec;
