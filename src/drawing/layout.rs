//! Places of boxes: their order in a level, so that few arrows cross, and their positions, so that arrows are short.

use super::levels::levels;

/// Number of times that all levels are ordered. More do not help much.
const SWEEPS: usize = 8;

/// Maximum number of places where long arrows pass a level. If there are more, long arrows are straight lines.
const MAX_PASSES: usize = 20_000;

/// Horizontal space between two boxes.
const GAP: f64 = 24.0;

/// A box, or a place where an arrow passes a level.
pub(super) struct BoxPlace {
    pub(super) level: usize,
    pub(super) width: f64,
    /// Middle of the box.
    pub(super) x: f64,
}

/// Places of boxes and arrows.
pub(super) struct DrawingLayout {
    /// The boxes, then the passes.
    pub(super) placed: Vec<BoxPlace>,
    /// For each arrow: what it leads through, from top to bottom.
    pub(super) paths: Vec<Vec<usize>>,
    pub(super) width: f64,
    pub(super) levels: usize,
}

/// Places boxes of the given widths.
pub(super) fn layout(widths: &[f64], arrows: &[(usize, usize)]) -> DrawingLayout {
    let levels = levels(widths.len(), arrows);
    let mut placed: Vec<_> = levels
        .iter()
        .zip(widths)
        .map(|(level, width)| BoxPlace {
            level: *level,
            width: *width,
            x: 0.0,
        })
        .collect();
    let span = |(from, to): &(usize, usize)| levels[*to].saturating_sub(levels[*from] + 1);
    let has_passes = arrows.iter().map(span).sum::<usize>() <= MAX_PASSES;
    let mut paths = Vec::with_capacity(arrows.len());
    for (from, to) in arrows {
        let mut path = vec![*from];
        if has_passes {
            for level in levels[*from] + 1..levels[*to] {
                path.push(placed.len());
                placed.push(BoxPlace {
                    level,
                    width: 0.0,
                    x: 0.0,
                });
            }
        }
        path.push(*to);
        paths.push(path);
    }
    let count = levels.iter().max().map_or(0, |last| last + 1);
    let mut rows = vec![Vec::new(); count];
    for (number, placed) in placed.iter().enumerate() {
        rows[placed.level].push(number);
    }
    let neighbours = Neighbours::new(&placed, &paths);
    neighbours.order(&mut rows);
    let width = neighbours.place(&mut placed, &rows);
    DrawingLayout {
        placed,
        paths,
        width,
        levels: count,
    }
}

/// Neighbours on the levels above and below.
struct Neighbours {
    above: Vec<Vec<usize>>,
    below: Vec<Vec<usize>>,
}

impl Neighbours {
    fn new(placed: &[BoxPlace], paths: &[Vec<usize>]) -> Self {
        let mut neighbours = Self {
            above: vec![Vec::new(); placed.len()],
            below: vec![Vec::new(); placed.len()],
        };
        for pair in paths.iter().flat_map(|path| path.windows(2)) {
            let [from, to] = [pair[0], pair[1]];
            // Arrows that point upwards or pass several levels have no influence.
            if placed[from].level + 1 == placed[to].level {
                neighbours.below[from].push(to);
                neighbours.above[to].push(from);
            }
        }
        neighbours
    }

    /// Orders the rows: each box is moved to the mean position of its neighbours, from the top down and back again.
    fn order(&self, rows: &mut [Vec<usize>]) {
        let mut positions = vec![0.0; self.above.len()];
        let set = |row: &[usize], positions: &mut [f64]| {
            let middle = row.len() as f64 / 2.0;
            for (position, number) in row.iter().enumerate() {
                positions[*number] = position as f64 - middle;
            }
        };
        rows.iter().for_each(|row| set(row, &mut positions));
        let mut best = (self.crossings(rows, &positions), rows.to_vec());
        for sweep in 0..SWEEPS {
            let is_down = sweep % 2 == 0;
            let neighbours = if is_down { &self.above } else { &self.below };
            for place in 0..rows.len() {
                let row = &mut rows[if is_down {
                    place
                } else {
                    best.1.len() - 1 - place
                }];
                let mean = |number: usize| {
                    mean(&neighbours[number], &positions).unwrap_or(positions[number])
                };
                let mut keyed: Vec<_> = row.iter().map(|number| (mean(*number), *number)).collect();
                keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
                row.clear();
                row.extend(keyed.iter().map(|(_, number)| *number));
                set(row, &mut positions);
            }
            let crossings = self.crossings(rows, &positions);
            if crossings < best.0 {
                best = (crossings, rows.to_vec());
            }
        }
        rows.clone_from_slice(&best.1);
    }

    /// Returns the number of pairs of arrows that cross.
    fn crossings(&self, rows: &[Vec<usize>], positions: &[f64]) -> usize {
        let mut crossings = 0;
        for row in rows {
            let mut ends = Vec::new();
            for number in row {
                let start = ends.len();
                ends.extend(self.below[*number].iter().map(|below| positions[*below]));
                ends[start..].sort_by(f64::total_cmp);
            }
            crossings += inversions(&mut ends);
        }
        crossings
    }

    /// Moves boxes close to their neighbours, without changing their order. Returns the width of the drawing.
    fn place(&self, placed: &mut [BoxPlace], rows: &[Vec<usize>]) -> f64 {
        let mut x: Vec<_> = vec![0.0; placed.len()];
        for sweep in 0..=SWEEPS {
            let is_down = sweep % 2 == 0;
            let neighbours = if is_down { &self.above } else { &self.below };
            for place in 0..rows.len() {
                let row = &rows[if is_down {
                    place
                } else {
                    rows.len() - 1 - place
                }];
                let wish = |number: &usize| mean(&neighbours[*number], &x).unwrap_or(x[*number]);
                let wishes: Vec<_> = row.iter().map(wish).collect();
                let widths: Vec<_> = row.iter().map(|number| placed[*number].width).collect();
                for (number, place) in row.iter().zip(spread(&wishes, &widths)) {
                    x[*number] = place;
                }
            }
        }
        let left = placed
            .iter()
            .zip(&x)
            .map(|(placed, x)| x - placed.width / 2.0);
        let left = left.fold(f64::INFINITY, f64::min);
        let mut width: f64 = 0.0;
        for (placed, x) in placed.iter_mut().zip(x) {
            placed.x = x - left;
            width = width.max(placed.x + placed.width / 2.0);
        }
        width
    }
}

fn mean(neighbours: &[usize], values: &[f64]) -> Option<f64> {
    let sum: f64 = neighbours.iter().map(|number| values[*number]).sum();
    (!neighbours.is_empty()).then(|| sum / neighbours.len() as f64)
}

/// Returns the places closest to `wishes` (by least squares) at which boxes with these widths do not overlap. Where they
/// would, neighbours are merged into a block at their mean ("pool adjacent violators").
fn spread(wishes: &[f64], widths: &[f64]) -> Vec<f64> {
    // The first wish, relative to those before, of each block; the number of boxes; and the distance of each box.
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    let mut distances = Vec::with_capacity(wishes.len());
    let mut distance = 0.0;
    for (place, (wish, width)) in wishes.iter().zip(widths).enumerate() {
        if place > 0 {
            distance += (widths[place - 1] + width) / 2.0 + GAP;
        }
        distances.push(distance);
        let (mut mean, mut count) = (wish - distance, 1);
        while let Some((before, boxes)) = blocks.pop_if(|(before, _)| *before > mean) {
            mean = (mean * count as f64 + before * boxes as f64) / (count + boxes) as f64;
            count += boxes;
        }
        blocks.push((mean, count));
    }
    let means = blocks.into_iter();
    let means = means.flat_map(|(mean, count)| std::iter::repeat_n(mean, count));
    means
        .zip(distances)
        .map(|(mean, distance)| mean + distance)
        .collect()
}

/// Returns the number of pairs in the wrong order, and sorts.
fn inversions(values: &mut Vec<f64>) -> usize {
    let mut inversions = 0;
    let mut width = 1;
    while width < values.len() {
        let mut merged = Vec::with_capacity(values.len());
        for pair in values.chunks(2 * width) {
            let (mut left, mut right) = pair.split_at(width.min(pair.len()));
            while let (Some(a), Some(b)) = (left.first(), right.first()) {
                if a <= b {
                    merged.push(*a);
                    left = &left[1..];
                } else {
                    merged.push(*b);
                    right = &right[1..];
                    inversions += left.len();
                }
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        *values = merged;
        width *= 2;
    }
    inversions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_do_not_overlap_and_stay_close() {
        let places = spread(&[0.0, 0.0, 500.0], &[10.0, 10.0, 10.0]);
        assert_eq!(places, [-17.0, 17.0, 500.0]);
        let (widths, arrows) = (
            [50.0; 7],
            [
                (0, 1),
                (0, 2),
                (0, 3),
                (1, 4),
                (2, 4),
                (3, 5),
                (0, 6),
                (5, 6),
            ],
        );
        let layout = layout(&widths, &arrows);
        assert_eq!(layout.levels, 4);
        for (a, one) in layout.placed.iter().enumerate() {
            assert!(one.x >= one.width / 2.0 && one.x + one.width / 2.0 <= layout.width);
            for other in &layout.placed[a + 1..] {
                let apart = (one.x - other.x).abs() >= (one.width + other.width) / 2.0;
                assert!(one.level != other.level || apart);
            }
        }
    }

    #[test]
    fn arrows_are_untangled() {
        let arrows = [(0, 5), (1, 4), (2, 3)];
        let layout = layout(&[10.0; 6], &arrows);
        for (from, to) in arrows {
            assert!((layout.placed[from].x - layout.placed[to].x).abs() < 1.0);
        }
        assert_eq!(inversions(&mut vec![3.0, 1.0, 2.0, 2.0]), 3);
    }

    #[test]
    fn large_graphs_take_little_time() {
        let arrows: Vec<_> = (1..2_000).flat_map(|n| [(n - 1, n), (0, n)]).collect();
        let layout = layout(&[10.0; 2_000], &arrows);
        assert_eq!((layout.levels, layout.placed.len()), (2_000, 2_000));
    }
}
