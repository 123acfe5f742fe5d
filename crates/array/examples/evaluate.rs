//! Evaluates expressions in reverse Polish notation, to compare the results with those of other programs:
//!
//!     evaluate < EXPRESSIONS
//!
//! Each line has the path of a result, and words that work on a stack: `load:PATH:CHUNKS`, `add`, `sub`, `mul`, `div`, `neg`,
//! `boxed`, `t`, `insert:AXIS`, `rechunk:CHUNKS`, `slice:START:END:STEP,…`, `sum:AXIS`, `mean:AXIS`, `std:AXIS`, `min:AXIS` and
//! `max:AXIS` (all axes if there is none), and `dot`. The result is written as a file of NumPy. `HOLDALL_EXECUTOR` chooses
//! the executor.

use std::io::stdin;

use holdall::{BoxError, Context};
use holdall_array::{Array, Axis, Ix2, IxDyn, open_npy};
use ndarray::SliceInfoElem;

/// An array of any shape.
type Any = Array<f64, IxDyn>;

fn main() -> Result<(), BoxError> {
    holdall::init();
    let context = Context::default();
    for line in stdin().lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        let path = words.next().ok_or("a line is empty")?;
        let mut stack = Vec::new();
        for word in words {
            apply(word, &mut stack)?;
        }
        let result = stack.pop().ok_or("nothing is left")?;
        result.write_npy(&context, path)?;
    }
    Ok(())
}

fn apply(word: &str, stack: &mut Vec<Any>) -> Result<(), BoxError> {
    let (name, rest) = word.split_once(':').unwrap_or((word, ""));
    if name == "load" {
        let (path, chunks) = rest.split_once(':').ok_or("a file needs chunks")?;
        stack.push(open_npy::<f64, IxDyn>(path, IxDyn(&numbers(chunks)?))?);
        return Ok(());
    }
    let x = stack.pop().ok_or("the stack is empty")?;
    let result = match name {
        "add" | "sub" | "mul" | "div" | "dot" => {
            let left = stack.pop().ok_or("the stack is empty")?;
            combine(name, &left, &x)?
        }
        "neg" => (-&x).boxed(),
        "boxed" => x.boxed(),
        "t" => x.t(),
        "insert" => x.insert_axis(Axis(rest.parse()?)),
        "rechunk" => x.rechunk(IxDyn(&numbers(rest)?)),
        "slice" => x.slice(&slices(rest)?[..]),
        _ if rest.is_empty() => {
            let all = match name {
                "sum" => x.sum(),
                "mean" => x.mean(),
                "std" => x.std(),
                "min" => x.min(),
                "max" => x.max(),
                _ => return Err(format!("unknown word {name}").into()),
            };
            all.into_dimensionality()?
        }
        _ => {
            let axis = Axis(rest.parse()?);
            match name {
                "sum" => x.sum_axis(axis),
                "mean" => x.mean_axis(axis),
                "std" => x.std_axis(axis),
                "min" => x.min_axis(axis),
                "max" => x.max_axis(axis),
                _ => return Err(format!("unknown word {name}").into()),
            }
        }
    };
    stack.push(result);
    Ok(())
}

fn combine(name: &str, a: &Any, b: &Any) -> Result<Any, BoxError> {
    Ok(match name {
        "add" => (a + b).boxed(),
        "sub" => (a - b).boxed(),
        "mul" => (a * b).boxed(),
        "div" => (a / b).boxed(),
        _ => {
            let (a, b) = (a.into_dimensionality::<Ix2>()?, b.into_dimensionality()?);
            a.dot(&b).into_dimensionality()?
        }
    })
}

fn numbers(text: &str) -> Result<Vec<usize>, BoxError> {
    let numbers = text.split(',').map(str::parse);
    Ok(numbers.collect::<Result<_, _>>()?)
}

fn slices(text: &str) -> Result<Vec<SliceInfoElem>, BoxError> {
    let slice = |text: &str| {
        let parts = text
            .split(':')
            .map(str::parse)
            .collect::<Result<Vec<isize>, _>>()?;
        let [start, end, step] = parts[..] else {
            return Err(BoxError::from("a slice has a start, an end and a step"));
        };
        let end = Some(end);
        Ok(SliceInfoElem::Slice { start, end, step })
    };
    text.split(',').map(slice).collect()
}
