//! Times of large arrays, for comparisons with other programs:
//!
//!     measure sum|five|centre|loop
//!
//! `sum` adds 10⁹ integers, `five` applies five operations to 10⁹ floats and adds them, `loop` does the same by a loop that
//! is written by hand, and `centre` subtracts the means of the rows of 800 MB. Prints the medians of the elapsed and of the
//! CPU time of three runs, in seconds, and a result.
#![expect(clippy::print_stdout, reason = "it is a program")]

use std::time::Instant;

use holdall::{Context, Result};
use holdall_array::{Axis, arange, from_fn};
use rustix::time::{ClockId, clock_gettime};

/// Length of a chunk.
const CHUNK: usize = 3_000_000;

fn main() -> Result<()> {
    holdall::init();
    let context = Context::default();
    let what = std::env::args().nth(1).unwrap_or_default();
    match what.as_str() {
        "sum" => time(|| {
            (arange(0_i64..1_000_000_000, CHUNK) + 1)
                .sum()
                .value(&context)
        }),
        "five" => time(|| {
            let x = (arange(0.0..1e9, CHUNK) + 1.0 + 2.0 + 3.0) * 0.5;
            x.map(|x| x * x).sum().value(&context)
        }),
        "loop" => time(|| Ok(by_hand())),
        "centre" => {
            let x = from_fn((20_000, 5_000), (1_000, 1_000), |n| (n % 1_013) as f64);
            let x = x.persist(&context)?;
            time(|| {
                let centred = &x - &x.mean_axis(Axis(1)).insert_axis(Axis(1));
                centred
                    .persist(&context)
                    .map(|centred| centred.shape().len())
            })
        }
        _ => {
            eprintln!("usage: measure sum|five|centre|loop");
            Ok(())
        }
    }
}

fn time<R: std::fmt::Debug>(mut work: impl FnMut() -> Result<R>) -> Result<()> {
    let (mut elapsed, mut cpu, mut result) = (Vec::new(), Vec::new(), None);
    for _ in 0..3 {
        let (start, cpu_start) = (Instant::now(), cpu_time());
        result = Some(work()?);
        elapsed.push(start.elapsed().as_secs_f64());
        cpu.push(cpu_time() - cpu_start);
    }
    println!("{:.4} {:.4} {result:?}", median(elapsed), median(cpu));
    Ok(())
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Returns the CPU time of all threads of this process, in seconds.
fn cpu_time() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn by_hand() -> f64 {
    use rayon::prelude::*;

    let chunks: Vec<_> = (0..1_000_000_000_usize).step_by(CHUNK).collect();
    let sum = |start: usize| {
        let mut lanes = [0.0; 8];
        for at in (start..(start + CHUNK).min(1_000_000_000)).step_by(8) {
            for (lane, sum) in lanes.iter_mut().enumerate() {
                let x = (((at + lane) as f64 + 1.0) + 2.0 + 3.0) * 0.5;
                *sum += x * x;
            }
        }
        lanes.iter().sum::<f64>()
    };
    chunks.into_par_iter().map(sum).sum()
}
