//! A program for tests of clusters: arrays that are reduced, multiplied, rechunked, written and read. It writes to the
//! directory `OUT_DIR`, and prints numbers with all their digits.

use std::env;
use std::fs;
use std::path::Path;

use holdall::{BoxError, Context, Error, Result};
use holdall_array::{Axis, Ix2, arange, from_fn, open_npy};

pub(crate) fn main() -> Result<(), BoxError> {
    let out = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    fs::create_dir_all(&out)?;
    Ok(run(&Context::default(), Path::new(&out))?)
}

pub(crate) fn run(context: &Context, out: &Path) -> Result<()> {
    let sum = (arange(0_i64..1_000_000, 3_000) + 1).sum().value(context)?;
    println!("sum {sum}");
    let x = from_fn((600, 500), (128, 200), |n| (n * 7_919 % 10_007) as f64);
    let centred = &x - &x.mean_axis(Axis(1)).insert_axis(Axis(1));
    println!("deviation {:?}", centred.std().value(context)?);
    let products = x.t().dot(&x).compute(context)?;
    println!("products {:?}", products.diag().to_vec());
    let path = out.join("centred.npy");
    centred
        .boxed()
        .rechunk((77, 500))
        .write_npy(context, &path)?;
    let rows = open_npy::<f64, Ix2>(&path, (50, 500))?.to_bag(context)?;
    let greatest = rows.map(|row| row.into_iter().fold(f64::MIN, f64::max));
    println!("greatest {:?}", greatest.collect()?);
    let chunks = centred.std_axis(Axis(0)).to_delayed(context)?;
    let lengths = chunks.iter().map(|chunk| {
        chunk.map(|chunk: &holdall_array::Chunk<f64>| chunk.clone().into_array().len())
    });
    let lengths = context.compute(lengths.collect::<Vec<_>>())?;
    match lengths.iter().sum::<usize>() {
        500 => Ok(()),
        other => Err(Error::other(format!("{other} deviations"))),
    }
}
