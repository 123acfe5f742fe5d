//! Random graphs, with a plain evaluation.

use holdall::graph::{Graph, Item, alias, all, by_ref, data, task};
use holdall::{Context, Result};

/// A random number generator with a fixed sequence for each seed.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

/// A value of one of the types that the graphs have.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AnyValue {
    Number(i64),
    Text(String),
    Floats(Vec<f64>),
}

/// Meaning of a key: an operation, and the numbers of the keys that it needs, which come before.
struct Node {
    operation: usize,
    needs: Vec<usize>,
}

/// A random graph, and the values of its keys. Texts and lists have up to `size` elements.
pub(crate) struct Case {
    nodes: Vec<Node>,
    values: Vec<AnyValue>,
    size: usize,
}

fn mixed(a: i64, b: i64) -> i64 {
    (a ^ b).wrapping_mul(0x5851_f42d_4c95_7f2d).rotate_left(17)
}

fn negated(a: &i64) -> i64 {
    a.wrapping_neg()
}

fn folded(numbers: &[i64]) -> i64 {
    numbers
        .iter()
        .fold(numbers.len() as i64, |a, b| mixed(a, *b))
}

fn length(text: &str) -> i64 {
    text.bytes()
        .fold(0, |sum, byte| mixed(sum, i64::from(byte)))
}

fn bits(floats: Vec<f64>) -> i64 {
    floats
        .iter()
        .fold(1, |sum, float| mixed(sum, float.to_bits() as i64))
}

fn repeated(seed: &i64, size: &usize) -> String {
    format!("{seed}-").repeat(size / 8 + 1)
}

fn joined(texts: &[String], size: &usize) -> String {
    let mut text = texts.concat();
    text.truncate(*size);
    text
}

fn spread(seed: &i64, size: &usize) -> Vec<f64> {
    (0..*size / 8)
        .map(|n| (*seed as f64).sin() + n as f64)
        .collect()
}

fn appended(a: &[f64], b: &[f64], size: &usize) -> Vec<f64> {
    let all = a.iter().chain(b).copied();
    all.take(*size / 8).collect()
}

impl Case {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let most = [10, 60, 300][random.below(3)];
        let tasks = 2 + random.below(most);
        let size = [8, 400, 90_000][random.below(3)];
        let mut case = Self {
            nodes: Vec::new(),
            values: Vec::new(),
            size,
        };
        // Deep graphs need the last keys, wide ones the first.
        let reach = [4, 30, tasks][random.below(3)];
        for number in 0..tasks {
            let mut some = |is_wanted: fn(&AnyValue) -> bool| {
                let from = number.saturating_sub(reach);
                let found = (from..number).filter(|n| is_wanted(&case.values[*n]));
                let found: Vec<_> = found.collect();
                (!found.is_empty()).then(|| found[random.below(found.len())])
            };
            let number_of = |value: &AnyValue| matches!(value, AnyValue::Number(_));
            let text_of = |value: &AnyValue| matches!(value, AnyValue::Text(_));
            let floats_of = |value: &AnyValue| matches!(value, AnyValue::Floats(_));
            let any = |_: &AnyValue| true;
            let candidates = [
                None,
                some(number_of)
                    .zip(some(number_of))
                    .map(|(a, b)| vec![a, b]),
                some(number_of).map(|a| vec![a]),
                (0..number % 9).map(|_| some(number_of)).collect(),
                some(text_of).map(|a| vec![a]),
                some(floats_of).map(|a| vec![a]),
                some(number_of).map(|a| vec![a]),
                (0..number % 4).map(|_| some(text_of)).collect(),
                some(number_of).map(|a| vec![a]),
                some(floats_of)
                    .zip(some(floats_of))
                    .map(|(a, b)| vec![a, b]),
                some(any).map(|a| vec![a]),
            ];
            let operation = random.below(candidates.len());
            let (operation, needs) = match &candidates[operation] {
                Some(needs) => (operation, needs.clone()),
                None => (0, Vec::new()),
            };
            let node = Node { operation, needs };
            let value = case.evaluated(number, &node);
            case.values.push(value);
            case.nodes.push(node);
        }
        case
    }

    fn number(&self, n: usize) -> i64 {
        match self.values[n] {
            AnyValue::Number(number) => number,
            _ => unreachable!("the operation needs a number"),
        }
    }

    fn text(&self, n: usize) -> &String {
        match &self.values[n] {
            AnyValue::Text(text) => text,
            _ => unreachable!("the operation needs a text"),
        }
    }

    fn floats(&self, n: usize) -> &Vec<f64> {
        match &self.values[n] {
            AnyValue::Floats(floats) => floats,
            _ => unreachable!("the operation needs a list"),
        }
    }

    /// Returns the value of a node whose needs have theirs.
    fn evaluated(&self, number: usize, Node { operation, needs }: &Node) -> AnyValue {
        use AnyValue::{Floats, Number, Text};
        let size = &self.size;
        match *operation {
            0 => Number(number as i64),
            1 => Number(mixed(self.number(needs[0]), self.number(needs[1]))),
            2 => Number(negated(&self.number(needs[0]))),
            3 => Number(folded(
                &needs.iter().map(|n| self.number(*n)).collect::<Vec<_>>(),
            )),
            4 => Number(length(self.text(needs[0]))),
            5 => Number(bits(self.floats(needs[0]).clone())),
            6 => Text(repeated(&self.number(needs[0]), size)),
            7 => Text(joined(
                &needs
                    .iter()
                    .map(|n| self.text(*n).clone())
                    .collect::<Vec<_>>(),
                size,
            )),
            8 => Floats(spread(&self.number(needs[0]), size)),
            9 => Floats(appended(self.floats(needs[0]), self.floats(needs[1]), size)),
            _ => self.values[needs[0]].clone(),
        }
    }

    fn item(&self, number: usize) -> Item {
        let Node { operation, needs } = &self.nodes[number];
        let key = |position: usize| needs[position].to_string();
        let keys = || all(needs.iter().map(usize::to_string));
        let size = data(self.size);
        match *operation {
            0 => data(number as i64),
            1 => task(mixed, [key(0), key(1)]),
            2 => task(negated, [key(0)]),
            3 => task(folded, [keys()]),
            4 => task(by_ref(length), [key(0)]),
            5 => task(bits, [key(0)]),
            6 => task(repeated, (key(0), size)),
            7 => task(joined, (keys(), "size")),
            8 => task(spread, (key(0), size)),
            9 => task(appended, (key(0), key(1), "size")),
            _ => alias(key(0)),
        }
    }

    /// Returns random keys, and computes their values in a context: numbers, texts and lists of floats.
    pub(crate) fn compute(&self, seed: u64, context: &Context) -> Result<Vec<(usize, AnyValue)>> {
        let items = (0..self.nodes.len()).map(|n| (n.to_string(), self.item(n)));
        let mut graph: Graph = items.collect();
        graph.insert("size", data(self.size));
        let mut random = Random::new(seed ^ 77);
        let (mut numbers, mut texts, mut lists) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..1 + random.below(6) {
            let n = random.below(self.nodes.len());
            match self.values[n] {
                AnyValue::Number(_) => numbers.push(n),
                AnyValue::Text(_) => texts.push(n),
                AnyValue::Floats(_) => lists.push(n),
            }
        }
        let keys = |numbers: &[usize]| numbers.iter().map(usize::to_string).collect::<Vec<_>>();
        let wanted = (keys(&numbers), keys(&texts), keys(&lists));
        let got: (Vec<i64>, Vec<String>, Vec<Vec<f64>>) = context.get(&graph, wanted)?;
        let values = got.0.into_iter().map(AnyValue::Number);
        let values = values.chain(got.1.into_iter().map(AnyValue::Text));
        let values = values.chain(got.2.into_iter().map(AnyValue::Floats));
        Ok([numbers, texts, lists]
            .concat()
            .into_iter()
            .zip(values)
            .collect())
    }

    /// Returns whether the values are the expected ones.
    pub(crate) fn is_right(&self, values: &[(usize, AnyValue)]) -> bool {
        values.iter().all(|(n, value)| *value == self.values[*n])
    }
}
