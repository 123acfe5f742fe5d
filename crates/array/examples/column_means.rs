//! Writes the means of the columns of a dataset to a file of NumPy, and prints the elapsed and the CPU time in seconds:
//!
//!     column_means FILE DATASET OUT
#![expect(clippy::print_stdout, reason = "it is a program")]

use std::time::Instant;

use holdall::{BoxError, Context};
use holdall_array::{Axis, Ix2, open_hdf5};
use rustix::time::{ClockId, clock_gettime};

fn main() -> Result<(), BoxError> {
    holdall::init();
    let context = Context::default();
    let mut arguments = std::env::args().skip(1);
    let mut argument = || {
        arguments
            .next()
            .ok_or("usage: column_means FILE DATASET OUT")
    };
    let (file, dataset, out) = (argument()?, argument()?, argument()?);
    let start = Instant::now();
    let x = open_hdf5::<f64, Ix2>(file, &dataset, (1_000, 1_000))?;
    x.mean_axis(Axis(0)).write_npy(&context, out)?;
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let cpu = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    println!("{} {cpu}", start.elapsed().as_secs_f64());
    Ok(())
}
