//! Methods on text.

use crate::{checks, has, is, lines};

checks! {
    "words" => |c| has(lines(c).words(), ["to", "be", "or", "not", "to", "be"]);
    "parse_fields" => |c| has(
        lines(c).parse_fields::<(String, String, String)>(' ').map(|fields| fields.2), ["or", "be"]
    );
    "containing" => |c| has(lines(c).containing("not"), ["not to be"]);
    "containing_any" => |c| is(lines(c).containing_any(["not", "or"]).count(), 2);
    "not_containing" => |c| has(lines(c).not_containing("not"), ["to be or"]);
    "split" => |c| has(lines(c).split(" be"), ["to", " or", "not to", ""]);
    "field" => |c| has(lines(c).field(1, " "), ["be", "to"]);
    "trim" => |c| has(lines(c).split("o").trim(), ["t", "be", "r", "n", "t t", "be"]);
    "to_lowercase" => |c| has(lines(c).to_uppercase().to_lowercase(), ["to be or", "not to be"]);
    "to_uppercase" => |c| has(lines(c).to_uppercase(), ["TO BE OR", "NOT TO BE"]);
    "map_str" => |c| has(lines(c).map_str(|line| &line[1..]), ["o be or", "ot to be"]);
    "try_map_str" => |c| has(lines(c).try_map_str(|line| line.get(1..).ok_or("empty")), ["o be or", "ot to be"]);
    "try_filter_map_str" => |c| has(
        lines(c).try_filter_map_str(|line| Ok::<_, String>(line.strip_prefix("to "))), ["be or"]
    );
    "filter_map_str" => |c| has(lines(c).filter_map_str(|line| line.strip_prefix("to ")), ["be or"]);
    "as_text" => |c| has(lines(c).as_text().map(str::len), [8, 9]);
    "pipe" => |c| has(lines(c).pipe(holdall::Pipe::new("rev")), ["ro eb ot", "eb ot ton"]);
}

/// Methods that need a feature of the crate.
#[cfg(all(feature = "regex", feature = "unicode"))]
pub(crate) mod features {
    use crate::{checks, has, lines};

    checks! {
        "matching" => |c| has(lines(c).matching("^n")?, ["not to be"]);
        "not_matching" => |c| has(lines(c).not_matching("^n")?, ["to be or"]);
        "find_matches" => |c| has(lines(c).find_matches(r"\bt?o\w*")?, ["to", "or", "to"]);
        "captures" => |c| has(lines(c).captures::<(String, String)>("^(n..) (..)")?.keys(), ["not"]);
        "unicode_words" => |c| has(lines(c).unicode_words().limit(3), ["to", "be", "or"]);
    }
}
