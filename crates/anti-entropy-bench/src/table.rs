//! Tables for people.

/// Rows under headers, in columns that are as wide as what is in them.
pub(crate) fn format(headers: &[&str], rows: &[Vec<String>]) -> String {
    let headers: Vec<String> = headers.iter().map(ToString::to_string).collect();
    let lines = || std::iter::once(&headers).chain(rows);
    let widths: Vec<usize> = (0..headers.len())
        .map(|column| lines().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let aligned = |line: &Vec<String>| {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        format!("{}\n", cells.join("  "))
    };
    lines().map(aligned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["1".to_string(), "long".to_string()], vec!["100".to_string(), "x".to_string()]];
        assert_eq!(format(&["n", "what"], &rows), "  n  what\n  1  long\n100     x\n");
    }
}
