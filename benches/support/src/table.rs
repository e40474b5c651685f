//! Tables as text and as Markdown.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// Writes lines of equally many cells in columns: the first column to the left, the others to the right.
pub fn write_aligned(lines: &[Vec<String>], out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).add_rows(lines);
    for (number, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        column.set_cell_alignment(if number == 0 { CellAlignment::Left } else { CellAlignment::Right });
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Writes the lines as a Markdown table, of which the first is the heading; columns after the first are aligned right.
pub fn write_markdown(lines: &[Vec<String>], out: &mut dyn Write) -> io::Result<()> {
    for (number, line) in lines.iter().enumerate() {
        let cells: Vec<_> = line.iter().map(|cell| cell.replace('|', "\\|")).collect();
        writeln!(out, "| {} |", cells.join(" | "))?;
        if number == 0 {
            writeln!(out, "| --- |{}", " ---: |".repeat(line.len().saturating_sub(1)))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Vec<Vec<String>> {
        [["figure", "map"], ["load", "1.25 s"]].map(|line| line.map(str::to_owned).to_vec()).to_vec()
    }

    #[test]
    fn columns_are_aligned() {
        let mut out = Vec::new();
        write_aligned(&lines(), &mut out).expect("a list takes all bytes");
        assert_eq!(String::from_utf8(out).expect("tables are text"), "figure     map\nload    1.25 s\n");
    }

    #[test]
    fn markdown_has_a_heading() {
        let mut out = Vec::new();
        write_markdown(&lines(), &mut out).expect("a list takes all bytes");
        let expected = "| figure | map |\n| --- | ---: |\n| load | 1.25 s |\n";
        assert_eq!(String::from_utf8(out).expect("tables are text"), expected);
    }
}
