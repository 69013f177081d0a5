//! Tables in Markdown whose source is readable, too.

use std::array;

/// A table with aligned columns. Nothing if there are no rows.
pub(crate) fn table<const N: usize>(head: [&str; N], mut rows: Vec<[String; N]>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    // A column of numbers is aligned to the right; some of its numbers may be missing.
    let right: [bool; N] = array::from_fn(|column| {
        let mut cells = rows.iter().map(|row| &row[column]).filter(|cell| !cell.is_empty()).peekable();
        cells.peek().is_some() && cells.all(|cell| cell.parse::<f64>().is_ok())
    });
    rows.insert(0, head.map(str::to_owned));
    let widths: [usize; N] = array::from_fn(|column| rows.iter().map(|row| row[column].len()).fold(3, usize::max));
    let end = |column: usize| if right[column] { ":" } else { "-" };
    rows.insert(1, array::from_fn(|column| "-".repeat(widths[column] - 1) + end(column)));
    let line = |row: &[String; N]| {
        let cells = (0..N).map(|column| match (&row[column], widths[column]) {
            (cell, width) if right[column] => format!("| {cell:>width$} "),
            (cell, width) => format!("| {cell:<width$} "),
        });
        cells.collect::<String>() + "|\n"
    };
    rows.iter().map(line).collect()
}

/// A number with this many decimals. Nothing if the value is no number, such as the result of a division by zero.
pub(crate) fn number(value: f64, decimals: usize) -> String {
    if value.is_finite() { format!("{value:.decimals$}") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_can_be_read_as_it_is() {
        assert_eq!(table(["server"], Vec::new()), "");
        let row = ["hyper".into(), "7".into(), "".into()];
        assert_eq!(
            table(["server", "req/s", ""], vec![row]),
            "| server | req/s |     |\n| ------ | ----: | --- |\n| hyper  |     7 |     |\n"
        );
    }

    #[test]
    fn a_number_that_is_missing_leaves_the_others_to_the_right() {
        let rows = [["1"], [""], ["20"]].map(|[cell]| [cell.to_owned()]);
        assert_eq!(table(["n"], rows.to_vec()), "|   n |\n| --: |\n|   1 |\n|     |\n|  20 |\n");
    }
}
