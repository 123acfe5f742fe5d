//! Tests of the formats that are optional features.

#[path = "../common/mod.rs"]
mod common;

mod csv;
mod json;
