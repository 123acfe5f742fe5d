//! Times two programs in alternating runs, and prints a table of their ratios.

use std::error::Error;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, Timespec, clock_gettime};

pub(crate) type Answer = Result<f64, Box<dyn Error>>;

/// A program, and one that does the same in another way. Both return a number that depends on the whole result.
pub(crate) struct Comparison<'i> {
    name: String,
    against: &'static str,
    programs: [Box<dyn Fn() -> Answer + 'i>; 2],
}

impl<'i> Comparison<'i> {
    pub(crate) fn new(
        name: impl Into<String>,
        ours: impl Fn() -> Answer + 'i,
        other: (&'static str, impl Fn() -> Answer + 'i),
    ) -> Self {
        let (name, (against, other)) = (name.into(), other);
        let programs = [
            Box::new(ours) as Box<dyn Fn() -> Answer + 'i>,
            Box::new(other),
        ];
        Self {
            name,
            against,
            programs,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs one of the programs, for a profiler.
    pub(crate) fn run(&self, program: usize) -> Answer {
        self.programs[program]()
    }

    /// Runs both programs once, and then `runs` times in turn. Prints the medians.
    pub(crate) fn measure(&self, runs: usize) -> Result<(), Box<dyn Error>> {
        let [ours, other] = [self.run(0)?, self.run(1)?];
        let is_near = (ours - other).abs() <= 1e-9 * ours.abs().max(other.abs());
        if !(is_near || ours == other) {
            return Err(format!("{}: {ours} is not {other}", self.name).into());
        }
        let mut times = [vec![], vec![]];
        for _ in 0..runs {
            for (program, times) in self.programs.iter().zip(&mut times) {
                times.push(time(program)?);
            }
        }
        let [[wall, cpu], [other_wall, other_cpu]] = times.map(|times| {
            [0, 1].map(|clock| median(times.iter().map(|times| times[clock]).collect()))
        });
        let line = format!(
            "{:<34} {:<16} {:>9.2} {:>9.2} {:>7.2} {:>9.2} {:>9.2} {:>7.2}",
            self.name,
            self.against,
            millis(wall),
            millis(other_wall),
            ratio(wall, other_wall),
            millis(cpu),
            millis(other_cpu),
            ratio(cpu, other_cpu),
        );
        writeln!(io::stdout(), "{line}")?;
        Ok(())
    }
}

pub(crate) fn print_header() -> io::Result<()> {
    writeln!(
        io::stdout(),
        "{:<34} {:<16} {:>9} {:>9} {:>7} {:>9} {:>9} {:>7}",
        "",
        "against",
        "wall ms",
        "its ms",
        "ratio",
        "CPU ms",
        "its ms",
        "ratio"
    )
}

/// Returns the wall time, and the CPU time of all threads.
fn time(program: &dyn Fn() -> Answer) -> Result<[Duration; 2], Box<dyn Error>> {
    let (start, cpu_start) = (Instant::now(), cpu_time());
    program()?;
    Ok([start.elapsed(), cpu_time() - cpu_start])
}

fn cpu_time() -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(tv_sec.unsigned_abs(), tv_nsec as u32)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn ratio(ours: Duration, other: Duration) -> f64 {
    ours.as_secs_f64() / other.as_secs_f64()
}
