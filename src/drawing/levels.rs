//! Levels: each box is on the level after the last one that it needs. In a cycle, one arrow points upwards.

/// Returns the level of each of `boxes` boxes.
pub(super) fn levels(boxes: usize, arrows: &[(usize, usize)]) -> Vec<usize> {
    let mut below = vec![Vec::new(); boxes];
    for (from, to) in arrows {
        below[*from].push(*to);
    }
    let mut levels = vec![0; boxes];
    for from in top_down(&below).into_iter().rev() {
        for to in &below[from.number] {
            if !from.upwards.contains(to) {
                levels[*to] = levels[*to].max(levels[from.number] + 1);
            }
        }
    }
    levels
}

/// A box, and those of its arrows that would close a cycle.
struct Visited {
    number: usize,
    upwards: Vec<usize>,
}

/// Returns the boxes, each after all that are below it.
fn top_down(below: &[Vec<usize>]) -> Vec<Visited> {
    #[derive(Clone, Copy, PartialEq)]
    enum Visit {
        New,
        OnPath,
        Done,
    }

    let mut states = vec![Visit::New; below.len()];
    let mut order = Vec::with_capacity(below.len());
    for root in 0..below.len() {
        if states[root] != Visit::New {
            continue;
        }
        states[root] = Visit::OnPath;
        // Boxes on the path, each with the position of its next arrow.
        let mut path = vec![(
            Visited {
                number: root,
                upwards: Vec::new(),
            },
            0,
        )];
        while let Some((visited, next)) = path.last_mut() {
            let Some(to) = below[visited.number].get(*next).copied() else {
                if let Some((visited, _)) = path.pop() {
                    states[visited.number] = Visit::Done;
                    order.push(visited);
                }
                continue;
            };
            *next += 1;
            match states[to] {
                Visit::New => {
                    states[to] = Visit::OnPath;
                    let visited = Visited {
                        number: to,
                        upwards: Vec::new(),
                    };
                    path.push((visited, 0));
                }
                Visit::OnPath => visited.upwards.push(to),
                Visit::Done => {}
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_below_what_it_needs() {
        assert_eq!(levels(4, &[(0, 1), (1, 2), (0, 2), (3, 2)]), [0, 1, 2, 0]);
        let chain: Vec<_> = (1..100_000).map(|n| (n - 1, n)).collect();
        assert_eq!(levels(100_000, &chain)[99_999], 99_999);
    }

    #[test]
    fn a_cycle_has_levels() {
        assert_eq!(levels(3, &[(0, 1), (1, 2), (2, 0), (1, 1)]), [0, 1, 2]);
    }
}
