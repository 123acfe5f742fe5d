//! Layers of tasks, as a crate outside of holdall writes them.

mod blocks;
mod files;
mod random;
mod tree;
mod trouble;

pub use blocks::{Blocks, Damage, Mix, Sabotage, block, mixed};
pub use files::{Delete, WriteFile, content};
pub use random::Random;
pub use tree::Tree;
pub use trouble::{Trouble, Troubled};
