//! A plan as text, and as graphs.

use std::fmt::{self, Write};

use itertools::Itertools;

use super::{Plan, PlanOperator, PlanStage, StageOutput};
use crate::drawing::quoted;

/// An arrow of a graph of stages.
pub(super) struct Arrow<'p> {
    /// Number of the stage where it begins.
    pub(super) from: usize,
    pub(super) label: &'p str,
    pub(super) is_filter: bool,
}

impl Plan {
    /// Returns the stages as a [Graphviz](https://graphviz.org) graph: a box for each stage with its operators, and an
    /// arrow for each shuffle or broadcast. A dashed arrow leads from a stage to one that it filters by its keys.
    ///
    /// # Examples
    ///
    /// ```
    /// let dot = holdall::range(0..10).map(|n| n % 3).distinct().explain().stages_dot();
    /// assert!(dot.starts_with("digraph stages {"));
    /// assert!(dot.contains("s1 [label=\"stage 1\\nrange 10 numbers\\nmap\\npartitions: 10\"];"));
    /// assert!(dot.contains("s1 -> s2 [label=\"by hash of the key\"];"));
    /// ```
    #[must_use]
    pub fn stages_dot(&self) -> String {
        let mut text = String::from("digraph stages {\n    node [shape=box];\n");
        for stage in self.stages() {
            // Writing to a string cannot fail.
            let _ = self.write_dot(stage, &mut text);
        }
        text.push_str("}\n");
        text
    }

    fn write_dot(&self, stage: &PlanStage, text: &mut String) -> fmt::Result {
        let PlanStage {
            number, operators, ..
        } = stage;
        let names = operators.iter().map(PlanOperator::title).join("\n");
        let label = format!(
            "stage {number}\n{names}\npartitions: {}",
            stage.partitions_text()
        );
        writeln!(text, "    s{number} [label={}];", quoted(&label))?;
        for arrow in self.arrows(stage) {
            let Arrow { from, label, .. } = arrow;
            let style = if arrow.is_filter {
                ", style=dashed"
            } else {
                ""
            };
            writeln!(text, "    s{from} -> s{number} [label=\"{label}\"{style}];")?;
        }
        Ok(())
    }

    /// Returns the arrows that lead to a stage.
    pub(super) fn arrows(&self, stage: &PlanStage) -> Vec<Arrow<'_>> {
        let reads = stage.operators.iter().flat_map(|operator| &operator.reads);
        let arrow = |from: &usize| Arrow {
            from: *from,
            label: match &self.stages()[from - 1].output {
                StageOutput::Shuffle { partitioning, .. } => partitioning,
                StageOutput::Broadcast { .. } => "broadcast",
                StageOutput::Result => "",
            },
            is_filter: false,
        };
        let mut arrows: Vec<_> = reads.unique().map(arrow).collect();
        if let StageOutput::Shuffle {
            filtered_by: Some(from),
            ..
        } = stage.output
        {
            let label = "filter";
            arrows.push(Arrow {
                from,
                label,
                is_filter: true,
            });
        }
        arrows
    }

    /// Returns the lineage of the bag as a [Graphviz](https://graphviz.org) graph: a box for each operator, an arrow for
    /// each dependency, and a bold arrow for each shuffle. Unlike the stages, it includes the operators before a persisted
    /// bag, which need not run again.
    ///
    /// # Examples
    ///
    /// ```
    /// let dot = holdall::range(0..10).map(|n| n % 3).distinct().explain().lineage_dot();
    /// assert!(dot.starts_with("digraph lineage {"));
    /// assert!(dot.contains("[label=\"shuffle\", style=bold]"));
    /// ```
    #[must_use]
    pub fn lineage_dot(&self) -> String {
        self.lineage_dot.clone()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stages().iter().try_for_each(|stage| stage.fmt(f))
    }
}

impl PlanStage {
    pub(super) fn partitions_text(&self) -> String {
        self.partitions
            .map_or_else(|| "as they come".to_owned(), |n| n.to_string())
    }
}

/// Prints the stage as part of a plan, with a line for each operator.
impl fmt::Display for PlanStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "stage {} (partitions: {}",
            self.number,
            self.partitions_text()
        )?;
        if let Some(bytes) = self.input_bytes {
            write!(f, ", input: {bytes} bytes")?;
        }
        writeln!(f, ")")?;
        for operator in &self.operators {
            writeln!(f, "  {operator}")?;
        }
        writeln!(f, "  -> {}", self.output)
    }
}

impl PlanOperator {
    /// Returns the name and the detail.
    pub(super) fn title(&self) -> String {
        if self.detail.is_empty() {
            self.name.to_owned()
        } else {
            format!("{} {}", self.name, self.detail)
        }
    }
}

impl fmt::Display for PlanOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reads = self.reads.iter();
        let reads = reads.format_with(",", |stage, f| f(&format_args!(" <- stage {stage}")));
        let Self {
            location, order, ..
        } = self;
        write!(f, "{}{reads} at {location} [order: {order}]", self.title())
    }
}

impl fmt::Display for StageOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let readers = match self {
            Self::Result => return f.write_str("result"),
            Self::Broadcast { readers } => {
                f.write_str("broadcast")?;
                readers
            }
            Self::Shuffle {
                partitioning,
                readers,
                filtered_by,
            } => {
                write!(f, "shuffle: {partitioning}")?;
                if let Some(stage) = filtered_by {
                    write!(
                        f,
                        ", without keys that stage {stage} has not, if these are few"
                    )?;
                }
                readers
            }
        };
        if *readers > 1 {
            write!(f, ", read {readers} times")?;
        }
        Ok(())
    }
}
