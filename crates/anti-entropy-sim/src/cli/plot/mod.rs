//! Plots of results, in SVG.

mod bandwidth;
mod convergence;

pub(super) use bandwidth::draw as bandwidth;
pub(super) use convergence::draw as convergence;

use plotters::style::{FontDesc, FontFamily, FontStyle, RGBColor};

/// The size of a plot in pixels.
const SIZE: (u32, u32) = (1200, 800);

/// Colours that colour-blind people can distinguish (Okabe, Ito, "Color Universal Design", 2008).
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
];

fn font(size: i32) -> FontDesc<'static> {
    FontDesc::new(FontFamily::SansSerif, f64::from(size), FontStyle::Normal)
}

/// A whole number with commas between thousands.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0.0, 999.6, 12_345.0, 1e6].map(grouped), ["0", "1,000", "12,345", "1,000,000"]);
    }
}
