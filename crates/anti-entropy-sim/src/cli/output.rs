//! Progress bars, and results as lines of JSON or as a table.

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// A progress bar with the rate and the remaining time on stderr; nothing if stderr is not a terminal.
pub(super) fn progress(work: u64, unit: &str) -> ProgressBar {
    let template = format!("{{bar:40}} {{percent:>3}} %  {{pos}}/{{len}} {unit}, {{per_sec}}, {{eta}} left");
    let bar = ProgressBar::new(work);
    bar.set_style(ProgressStyle::with_template(&template).expect("the template is valid"));
    bar.tick();
    bar
}

/// Prints rows as lines of JSON, or as a table with these columns.
pub(super) fn print<T: Serialize>(rows: &[T], json: bool, columns: &[&str]) {
    if json {
        for row in rows {
            println!("{}", serde_json::to_string(row).expect("plain data has a JSON form"));
        }
    } else {
        print!("{}", table(rows, columns));
    }
}

/// Prints one object as a line of JSON, or with one field on each line.
pub(super) fn print_fields<T: Serialize>(object: &T, json: bool) {
    let value = serde_json::to_value(object).expect("plain data has a JSON form");
    if json {
        println!("{}", serde_json::to_string(object).expect("plain data has a JSON form"));
    } else if let Some(fields) = value.as_object() {
        for (name, value) in fields {
            println!("{:>24}  {}", name.replace('_', " "), cell(value));
        }
    }
}

/// A quotient of two counts, which are small enough to be exact as floats.
#[allow(clippy::cast_precision_loss, reason = "figures for people")]
pub(super) fn ratio(dividend: u64, divisor: u64) -> f64 {
    dividend as f64 / divisor as f64
}

/// The named fields of rows in aligned columns, under their names.
fn table<T: Serialize>(rows: &[T], columns: &[&str]) -> String {
    let headers = columns.iter().map(|column| column.replace('_', " ")).collect();
    let mut lines: Vec<Vec<String>> = vec![headers];
    for row in rows {
        let row = serde_json::to_value(row).expect("plain data has a JSON form");
        lines.push(columns.iter().map(|column| cell(&row[*column])).collect());
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let aligned = |line: &Vec<String>| {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        format!("{}\n", cells.join("  "))
    };
    lines.iter().map(aligned).collect()
}

fn cell(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.replace('_', " "),
        serde_json::Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            if number.abs() < 100.0 { format!("{number:.2}") } else { format!("{number:.0}") }
        }
        serde_json::Value::Bool(true) => "yes".to_owned(),
        serde_json::Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        #[derive(Serialize)]
        struct Row {
            nodes: u32,
            max_rounds: f64,
            push: bool,
        }
        let rows =
            [Row { nodes: 3, max_rounds: 1.234, push: true }, Row { nodes: 10_000, max_rounds: 9.0, push: false }];
        let expected = "nodes  max rounds  push\n    3        1.23   yes\n10000        9.00    no\n";
        assert_eq!(table(&rows, &["nodes", "max_rounds", "push"]), expected);
    }
}
