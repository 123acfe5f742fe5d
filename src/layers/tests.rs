//! Tests of plans.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::plan::{LayerPlan, LayerSet};
use super::{Inputs, Layer, Needs, TaskScope, TypedLayer};
use crate::error::{BoxError, Site};

/// A layer whose tasks need the listed ones.
#[derive(Serialize, Deserialize)]
struct Listed(Vec<Vec<usize>>);

impl Layer for Listed {
    type Value = ();

    fn name(&self) -> &'static str {
        "listed"
    }

    fn tasks(&self) -> usize {
        self.0.len()
    }

    fn needs(&self, task: usize, needs: &mut Needs<'_>) {
        self.0[task].iter().for_each(|need| needs.add_own(*need));
    }

    fn run(&self, _: usize, _: &Inputs<'_>, _: &TaskScope<'_>) -> Result<(), BoxError> {
        Ok(())
    }
}

fn plan(needs: Vec<Vec<usize>>, wanted: &[usize]) -> LayerPlan {
    let layer = TypedLayer::new(Listed(needs), Site::new("listed"));
    let set = LayerSet {
        number: 0,
        layers: vec![Arc::new(layer)],
    };
    let wanted: Vec<_> = wanted.iter().map(|task| (0, *task)).collect();
    LayerPlan::new(set, &wanted).unwrap()
}

/// Returns the numbers of the tasks in the order of their ranks.
fn order(plan: &LayerPlan) -> Vec<usize> {
    let ranks = 0..plan.tasks() as u32;
    ranks.map(|rank| plan.task(rank).1).collect()
}

/// Returns the highest number of values that are held if the tasks run in the order of their ranks.
fn most_held(plan: &LayerPlan) -> usize {
    let mut held = HashSet::new();
    let mut most = 0;
    for rank in 0..plan.tasks() as u32 {
        assert!(plan.needs.of(rank).iter().all(|need| held.contains(need)));
        held.insert(rank);
        most = most.max(held.len());
        for need in plan.needs.of(rank) {
            if plan.users.of(*need).last() == Some(&rank) {
                held.remove(need);
            }
        }
    }
    most
}

#[test]
fn what_is_begun_is_ended_before_more_is_begun() {
    let inner = (1 << 12) - 1;
    let tree = |task: usize| {
        if task < inner {
            vec![2 * task + 1, 2 * task + 2]
        } else {
            Vec::new()
        }
    };
    let tree = plan((0..2 * inner + 1).map(tree).collect(), &[0]);
    assert_eq!(tree.tasks(), 2 * inner + 1);
    // Two for each level, as the inputs of a task are held until it is done.
    assert!(most_held(&tree) <= 14, "{}", most_held(&tree));

    // Whichever side is deep: task `2 * n` adds a source to the one before.
    for is_deep_first in [false, true] {
        let comb = |task: usize| match (task % 2, task.checked_sub(2), is_deep_first) {
            (1, _, _) | (_, None, _) => Vec::new(),
            (_, Some(deep), true) => vec![deep, task - 1],
            (_, Some(deep), false) => vec![task - 1, deep],
        };
        let comb = plan((0..2_001).map(comb).collect(), &[2_000]);
        assert_eq!(most_held(&comb), 3);
    }
}

#[test]
fn only_what_is_needed_runs_and_each_task_once() {
    let needs = vec![
        vec![],
        vec![0, 0],
        vec![1, 0],
        vec![],
        vec![2, 1, 2],
        vec![4],
    ];
    let plan = plan(needs, &[2, 4, 2]);
    assert_eq!(order(&plan), [0, 1, 2, 4]);
    assert_eq!(plan.wanted, [2, 3, 2]);
    assert_eq!(plan.needs.of(3), [2, 1, 2]);
    assert_eq!(plan.users.of(0), [1, 1, 2]);
    assert_eq!(plan.users.of(3), [0; 0]);
}

#[test]
fn a_graph_may_be_as_deep_as_memory_allows() {
    let chain = |task: usize| task.checked_sub(1).into_iter().collect();
    let chain = plan((0..200_000).map(chain).collect(), &[199_999]);
    assert_eq!(chain.tasks(), 200_000);
    assert_eq!(chain.task(0).1, 0);
}
