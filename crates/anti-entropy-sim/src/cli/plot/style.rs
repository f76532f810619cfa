//! The style of all plots of the project. The benchmarks include this file.

use plotters::style::{FontDesc, FontFamily, FontStyle, RGBColor};

/// The size of a plot in pixels.
pub(super) const SIZE: (u32, u32) = (1200, 800);

/// Colours that colour-blind people can distinguish (Okabe, Ito, "Color Universal Design", 2008), and four more, for plots
/// with many lines.
pub(super) const COLOURS: [RGBColor; 10] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(120, 120, 120),
    RGBColor(90, 60, 20),
    RGBColor(0, 0, 0),
    RGBColor(150, 0, 60),
];

pub(super) fn font(size: i32) -> FontDesc<'static> {
    FontDesc::new(FontFamily::SansSerif, f64::from(size), FontStyle::Normal)
}

/// A whole number with commas between thousands.
pub(super) fn grouped(number: f64) -> String {
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
