//! Draws graphs.

use std::collections::HashMap;
use std::fmt::Write;

use super::map::{Graph, GraphSlot, SlotContent};
use crate::drawing::{BoxShape, DrawnBox, GraphDrawing, quoted, svg};

/// Maximum number of boxes of a drawing with a box for each key. A drawing with more cannot be read.
const MAX_BOXES: usize = 2_000;

impl Graph {
    /// Returns a [Graphviz](https://graphviz.org) graph: a node for each key and task, with the name of its function, and
    /// an arrow from each value to the tasks that need it.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::graph::{Graph, data, task};
    ///
    /// fn inc(x: i32) -> i32 { x + 1 }
    ///
    /// let graph = Graph::from([("a", data(1)), ("b", task(inc, ["a"]))]);
    /// let dot = graph.dot();
    /// assert!(dot.starts_with("digraph tasks {"));
    /// assert!(dot.contains("n1 [label=\"b\\ninc\", style=rounded];"));
    /// assert!(dot.contains("n0 -> n1;"));
    /// ```
    #[must_use]
    pub fn dot(&self) -> String {
        let drawing = self.drawing();
        let mut text = String::from("digraph tasks {\n    node [shape=box];\n");
        // Writing to a string cannot fail.
        for (number, drawn) in drawing.boxes.iter().enumerate() {
            let style = match drawn.shape {
                BoxShape::Round => ", style=rounded",
                BoxShape::Sharp => "",
                BoxShape::Dashed => ", style=dashed",
            };
            let label = quoted(&drawn.lines.join("\n"));
            let _ = writeln!(text, "    n{number} [label={label}{style}];");
        }
        for (from, to) in drawing.arrows {
            let _ = writeln!(text, "    n{from} -> n{to};");
        }
        text.push_str("}\n");
        text
    }

    /// Returns a drawing as an SVG document, with a box for each key and task, below those that it needs. If there are
    /// more than 2,000, the tasks of each function are one box.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::graph::{Graph, data, task};
    ///
    /// let graph = Graph::from([("a", data(1)), ("b", task(i32::abs, ["a"]))]);
    /// assert!(graph.svg().starts_with("<svg "));
    /// ```
    #[must_use]
    pub fn svg(&self) -> String {
        let drawing = self.drawing();
        if drawing.boxes.len() > MAX_BOXES {
            return svg(&self.grouped());
        }
        svg(&drawing)
    }

    /// Returns the slots that are drawn, and their numbers: all but those of keys that are neither there nor needed.
    fn drawn_slots(&self) -> impl Iterator<Item = (usize, &GraphSlot)> {
        let contents = self.slots.iter().filter_map(|slot| slot.content.as_ref());
        let mut is_drawn: Vec<_> = self
            .slots
            .iter()
            .map(|slot| slot.content.is_some())
            .collect();
        for slot in contents.flat_map(SlotContent::slots) {
            is_drawn[slot as usize] = true;
        }
        let slots = self.slots.iter().enumerate();
        slots.filter(move |(number, _)| is_drawn[*number])
    }

    /// Draws a box for each slot.
    fn drawing(&self) -> GraphDrawing {
        let mut drawing = GraphDrawing::default();
        let mut places = vec![None; self.slots.len()];
        for (number, slot) in self.drawn_slots() {
            places[number] = Some(drawing.boxes.len());
            drawing.boxes.push(slot.drawn());
        }
        self.draw_arrows(&mut drawing, &places);
        drawing
    }

    /// Draws a box for all slots of each function.
    fn grouped(&self) -> GraphDrawing {
        let mut drawing = GraphDrawing::default();
        let mut by_name: HashMap<String, (usize, usize)> = HashMap::new();
        let mut places = vec![None; self.slots.len()];
        for (number, slot) in self.drawn_slots() {
            let next = drawing.boxes.len();
            let (place, count) = by_name.entry(slot.kind()).or_insert_with(|| {
                drawing.boxes.push(slot.drawn());
                (next, 0)
            });
            *count += 1;
            places[number] = Some(*place);
        }
        for (name, (place, count)) in by_name {
            let lines = vec![short(&name), format!("{count} tasks")];
            drawing.boxes[place].lines = lines;
            drawing.boxes[place].hint = name;
        }
        self.draw_arrows(&mut drawing, &places);
        drawing.arrows.retain(|(from, to)| from != to);
        drawing
    }

    fn draw_arrows(&self, drawing: &mut GraphDrawing, places: &[Option<usize>]) {
        for (slot, place) in self.slots.iter().zip(places) {
            let needs = slot.content.iter().flat_map(SlotContent::slots);
            let arrow = |need: u32| Some((places[need as usize]?, (*place)?));
            drawing.arrows.extend(needs.filter_map(arrow));
        }
        drawing.arrows.sort_unstable();
        drawing.arrows.dedup();
    }
}

impl GraphSlot {
    /// Returns the name of the function, or the type of the data.
    fn kind(&self) -> String {
        match &self.content {
            Some(SlotContent::Call(call)) => (call.function.signature().name)().to_owned(),
            Some(SlotContent::Data(constant)) => format!("data {}", (constant.value_type.name)()),
            Some(SlotContent::Alias(_)) => "alias".to_owned(),
            None => "missing".to_owned(),
        }
    }

    fn drawn(&self) -> DrawnBox {
        let kind = self.kind();
        let mut lines = vec![short(&kind)];
        if self.has_key {
            lines.insert(0, self.key.as_ref().to_owned());
        }
        let (shape, location) = match &self.content {
            Some(SlotContent::Call(call)) => (BoxShape::Round, Some(call.site.location)),
            Some(SlotContent::Data(constant)) => (BoxShape::Sharp, Some(constant.site.location)),
            Some(SlotContent::Alias(_)) | None => (BoxShape::Dashed, None),
        };
        let hint = match location {
            Some(location) => format!("{kind} at {location}"),
            None => kind,
        };
        DrawnBox { lines, hint, shape }
    }
}

/// Shortens the name of a type: without the paths of modules.
fn short(name: &str) -> String {
    let mut text = String::new();
    let mut start = 0;
    for (at, c) in name.char_indices() {
        if !(c.is_alphanumeric() || c == '_' || c == ':') {
            // Before `<impl T>`, there is only the path of a module.
            if !(c == '<' && name[..at].ends_with("::")) {
                text.push_str(last_of(&name[start..at]));
            }
            text.push(c);
            start = at + c.len_utf8();
        }
    }
    text.push_str(last_of(&name[start..]));
    text
}

/// Returns the last segment of a path, with the `::` after or before it: those of `a::main::` and of `::a::new` are
/// `main::` and `::new`.
fn last_of(path: &str) -> &str {
    let segments = path.strip_suffix("::").unwrap_or(path);
    match segments.rfind("::") {
        Some(at) if path.starts_with("::") => &path[at..],
        Some(at) => &path[at + 2..],
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_paths() {
        assert_eq!(short("core::num::<impl i32>::abs"), "<impl i32>::abs");
        assert_eq!(short("alloc::vec::Vec<u8>::new"), "Vec<u8>::new");
        assert_eq!(short("a::b::inc"), "inc");
        assert_eq!(
            short("data alloc::vec::Vec<alloc::string::String>"),
            "data Vec<String>"
        );
        assert_eq!(short("a::main::{{closure}}"), "main::{{closure}}");
    }
}
