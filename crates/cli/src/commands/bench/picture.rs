//! A picture of recall and rate, as SVG: one line for each system, the rate on a logarithmic axis. It brings its own
//! background, and follows the reader's choice of light or dark.

use std::fmt::Write as _;

use super::curve::{Point, rate_at};

/// The whole width, and that of what is beside the curves.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 230.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 50.0;
/// Height of the curves, at the least.
const LEAST_HEIGHT: f64 = 420.0;
/// Height of a line of the legend.
const LINE: f64 = 18.0;
/// No curve is drawn below this recall.
const LEAST_RECALL: f64 = 0.7;
/// The legend is in the order of the rates here.
const ORDERED_AT: f64 = 0.95;

/// Colours of lines, on light and on dark: of this project's first, then those of others.
const COLOURS: [(&str, &str); 8] = [
    ("#d1242f", "#ff7b72"),
    ("#0969da", "#58a6ff"),
    ("#1a7f37", "#3fb950"),
    ("#8250df", "#bc8cff"),
    ("#9a6700", "#d29922"),
    ("#1b7c83", "#39c5cf"),
    ("#bf3989", "#f778ba"),
    ("#57606a", "#8b949e"),
];
/// Where colours run out, dashes tell lines apart.
const DASHES: [&str; 5] = ["", "7 3", "2 3", "9 3 2 3", "1 2"];

/// A line of the picture.
pub(super) struct Curve<'a> {
    pub(super) name: &'a str,
    /// Best recall first.
    pub(super) points: Vec<Point>,
}

/// Where numbers are in the picture.
struct Axes {
    least_recall: f64,
    /// Decimal logarithms.
    low: f64,
    high: f64,
    height: f64,
}

impl Axes {
    fn x(&self, recall: f64) -> f64 {
        LEFT + (recall - self.least_recall) / (1.0 - self.least_recall) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, rate: f64) -> f64 {
        TOP + (self.high - rate.log10()) / (self.high - self.low) * self.height
    }
}

/// Draws them. Names that begin with `cgv` are ours, and drawn thicker.
pub(super) fn draw(title: &str, curves: &[Curve<'_>]) -> String {
    let mut curves: Vec<(&Curve<'_>, Vec<Point>)> = curves
        .iter()
        .map(|curve| (curve, shown(&curve.points)))
        .filter(|(_, shown)| !shown.is_empty())
        .collect();
    let rank = |curve: &Curve<'_>| rate_at(&curve.points, ORDERED_AT).unwrap_or(0.0);
    curves.sort_by(|a, b| rank(b.0).total_cmp(&rank(a.0)));
    let rates = || curves.iter().flat_map(|(_, points)| points.iter().map(|point| point.1.log10()));
    let recalls = curves.iter().flat_map(|(_, points)| points.iter().map(|point| point.0));
    let least = recalls.fold(0.95f64, f64::min);
    let axes = Axes {
        least_recall: (least * 20.0).floor() / 20.0,
        low: halves_down(rates().fold(f64::INFINITY, f64::min)),
        high: halves_up(rates().fold(f64::NEG_INFINITY, f64::max)),
        height: LEAST_HEIGHT.max(LINE * curves.len() as f64),
    };
    let mut svg = head(title, &axes);
    grid(&mut svg, &axes);
    let (mut ours, mut others) = (0, 0);
    // Ours lie on top of the others.
    let mut on_top = String::new();
    for (at, (curve, points)) in curves.iter().enumerate() {
        let is_ours = curve.name.starts_with("cgv");
        // Ours have the first colour to themselves.
        let (colour, dash) = if is_ours {
            ours += 1;
            (0, (ours - 1) % DASHES.len())
        } else {
            others += 1;
            (1 + (others - 1) % (COLOURS.len() - 1), (others - 1) / (COLOURS.len() - 1) % DASHES.len())
        };
        let layer = if is_ours { &mut on_top } else { &mut svg };
        line(layer, &axes, curve.name, points, (colour, dash), is_ours);
        legend(&mut svg, at, curve.name, (colour, dash), is_ours);
    }
    svg + &on_top + "</svg>\n"
}

/// The points that are drawn.
fn shown(points: &[Point]) -> Vec<Point> {
    let is_drawn = |point: &&Point| point.0 >= LEAST_RECALL && point.1 > 0.0 && point.1.is_finite();
    points.iter().filter(is_drawn).copied().collect()
}

/// Half decades below and above; of nothing, any that make axes.
fn halves_down(log: f64) -> f64 {
    if log.is_finite() { (log * 2.0 - 0.1).floor() / 2.0 } else { 0.0 }
}

fn halves_up(log: f64) -> f64 {
    if log.is_finite() { (log * 2.0 + 0.1).ceil() / 2.0 } else { 1.0 }
}

fn head(title: &str, axes: &Axes) -> String {
    let height = TOP + axes.height + BOTTOM;
    let colours = |of: fn(&(&'static str, &'static str)) -> &'static str| -> String {
        let class = |(at, pair)| format!(".s{at}{{stroke:{0}}} .f{at}{{fill:{0}}} ", of(pair));
        COLOURS.iter().enumerate().map(class).collect()
    };
    let (light, dark) = (colours(|pair| pair.0), colours(|pair| pair.1));
    let title = escape(title);
    // No variables: not every viewer knows them.
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-label=\"{title}\">\n\
         <style>\n\
         text{{font:12px system-ui,sans-serif;fill:#1f2328}} .back{{fill:#ffffff}} .grid{{stroke:#d0d7de}}\n\
         .line{{fill:none;stroke-width:1.5;stroke-linejoin:round}} .ours{{stroke-width:3}}\n\
         .title{{font-size:15px;font-weight:600}} .own{{font-weight:700}}\n\
         {light}\n\
         @media(prefers-color-scheme:dark){{text{{fill:#e6edf3}} .back{{fill:#0d1117}} .grid{{stroke:#30363d}} {dark}}}\n\
         </style>\n\
         <rect class=\"back\" width=\"100%\" height=\"100%\"/>\n\
         <text class=\"title\" x=\"{LEFT}\" y=\"26\">{title}</text>\n"
    )
}

fn grid(svg: &mut String, axes: &Axes) {
    let (right, bottom) = (WIDTH - RIGHT, TOP + axes.height);
    let twentieths = ((1.0 - axes.least_recall) * 20.0).round() as usize;
    for step in 0..=twentieths {
        let recall = 1.0 - step as f64 / 20.0;
        let x = axes.x(recall);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{recall:.2}</text>",
            bottom + 18.0
        );
    }
    for decade in axes.low.floor() as i32..=axes.high.ceil() as i32 {
        for digit in [1.0, 2.0, 5.0] {
            let rate = digit * 10f64.powi(decade);
            if !(axes.low..=axes.high).contains(&rate.log10()) {
                continue;
            }
            let y = axes.y(rate);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                y + 4.0,
                grouped(rate)
            );
        }
    }
    let middle = TOP + axes.height / 2.0;
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">recall</text>\
         <text transform=\"translate(14 {middle:.1}) rotate(-90)\" text-anchor=\"middle\">queries a second</text>",
        f64::midpoint(LEFT, right),
        bottom + 38.0
    );
}

fn line(svg: &mut String, axes: &Axes, name: &str, points: &[Point], style: (usize, usize), is_ours: bool) {
    let place = |(recall, rate): &Point| format!("{:.1},{:.1}", axes.x(*recall), axes.y(*rate));
    let path: Vec<String> = points.iter().map(place).collect();
    let name = escape(name);
    let _ = writeln!(
        svg,
        "<g><title>{name}</title><polyline class=\"{}\" points=\"{}\"{}/>",
        class(style.0, is_ours),
        path.join(" "),
        dashes(style.1)
    );
    for (recall, rate) in points {
        let _ = writeln!(
            svg,
            "<circle class=\"f{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{}\"><title>{name}: recall {recall:.4}, {rate:.0} \
             queries/s</title></circle>",
            style.0,
            axes.x(*recall),
            axes.y(*rate),
            if is_ours { 3.5 } else { 2.0 },
        );
    }
    svg.push_str("</g>\n");
}

fn legend(svg: &mut String, at: usize, name: &str, style: (usize, usize), is_ours: bool) {
    let (x, y) = (WIDTH - RIGHT + 16.0, TOP + LINE * (at as f64 + 0.5));
    let _ = writeln!(
        svg,
        "<line class=\"{}\" x1=\"{x}\" y1=\"{y}\" x2=\"{:.1}\" y2=\"{y}\"{}/>\
         <text{} x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        class(style.0, is_ours),
        x + 26.0,
        dashes(style.1),
        if is_ours { " class=\"own\"" } else { "" },
        x + 34.0,
        y + 4.0,
        escape(name)
    );
}

fn class(colour: usize, is_ours: bool) -> String {
    format!("line s{colour}{}", if is_ours { " ours" } else { "" })
}

fn dashes(dash: usize) -> String {
    match DASHES[dash] {
        "" => String::new(),
        dashes => format!(" stroke-dasharray=\"{dashes}\""),
    }
}

/// A number with its thousands apart; fractions as they are.
fn grouped(number: f64) -> String {
    if number < 1000.0 {
        return number.to_string();
    }
    let digits = format!("{number:.0}");
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

/// A text as it may stand in XML, between tags or in quotes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coordinates(svg: &str) -> Vec<(f64, f64)> {
        let points = svg.split(" points=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let pairs = points.flat_map(|points| points.split(' '));
        let number = |text: &str| text.parse::<f64>().unwrap();
        pairs.filter_map(|pair| pair.split_once(',')).map(|(x, y)| (number(x), number(y))).collect()
    }

    #[test]
    fn every_point_is_within_the_axes_and_better_is_higher_and_further_right() {
        let curves = [
            Curve { name: "cgv", points: vec![(1.0, 90.0), (0.9, 10_000.0)] },
            Curve { name: "other", points: vec![(0.99, 3.0), (0.71, 250.0), (0.5, 1e6)] },
        ];
        let svg = draw("title", &curves);
        let points = coordinates(&svg);
        // That of recall 0.5 is left out.
        assert_eq!(points.len(), 4, "{svg}");
        for (x, y) in &points {
            assert!((LEFT..=WIDTH - RIGHT).contains(x) && (TOP..=TOP + LEAST_HEIGHT).contains(y), "{x} {y}");
        }
        assert!(points[0].0 > points[1].0 && points[0].1 > points[1].1, "{points:?}");
        // A factor is the same distance wherever it is.
        let decade = |a: usize, b: usize, factor: f64| (points[a].1 - points[b].1) / factor.log10();
        assert!((decade(2, 3, 10_000.0 / 90.0) - decade(0, 1, 250.0 / 3.0)).abs() < 0.2);
    }

    #[test]
    fn names_cannot_leave_their_place() {
        let name = "<script>\"&'\u{7}";
        let svg = draw(name, &[Curve { name, points: vec![(0.9, 1.0)] }]);
        assert!(!svg.contains("<script") && svg.contains("&lt;script&gt;&quot;&amp;&#39; "), "{svg}");
        assert_eq!(svg.matches('<').count(), svg.matches('>').count());
    }

    #[test]
    fn many_systems_differ_and_none_is_a_picture_too() {
        let names: Vec<String> = (0..34).map(|at| format!("system-{at}")).collect();
        let curves: Vec<Curve<'_>> =
            names.iter().map(|name| Curve { name, points: vec![(0.95, 100.0)] }).collect();
        let svg = draw("many", &curves);
        let mut keys: Vec<&str> = svg.split("<line class=\"line ").skip(1).collect();
        assert_eq!(keys.len(), 34);
        let style = |key: &str| {
            let dash = key
                .split("stroke-dasharray=\"")
                .nth(1)
                .filter(|_| key.find("dasharray").is_some_and(|at| at < key.find("/>").unwrap_or(0)));
            (
                key.split('"').next().map(str::to_owned),
                dash.and_then(|dash| dash.split('"').next()).map(str::to_owned),
            )
        };
        keys.sort_by_key(|key| style(key));
        keys.dedup_by_key(|key| style(key));
        assert_eq!(keys.len(), 34, "two look the same");
        assert!(draw("none", &[]).ends_with("</svg>\n"));
    }

    #[test]
    fn thousands_are_apart() {
        assert_eq!(
            [0.5, 20.0, 1000.0, 50_000.0, 2e6].map(grouped),
            ["0.5", "20", "1,000", "50,000", "2,000,000"]
        );
    }
}
