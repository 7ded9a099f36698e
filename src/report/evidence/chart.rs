//! The charts of the HTML report: inline SVG that stretches with the page, each with an accessible name.
//!
//! Only shapes are drawn; all words are HTML beside them, so they stay readable at any width.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::html::escaped;
use super::{DayCount, EvidenceEntry, date, days_between, phrase};

/// Width of every drawing in its own units; the page stretches it.
const WIDTH: f64 = 1000.0;

/// The span of time that a timeline shows.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    pub from: Timestamp,
    pub to: Timestamp,
    pub now: Timestamp,
}

impl Axis {
    /// From the oldest change to the latest due date, today included.
    pub fn of(entries: &[&EvidenceEntry], now: Timestamp) -> Self {
        let times = entries.iter().flat_map(|entry| [entry.changed(), entry.standing.due]).flatten();
        let (mut from, mut to) = (now, now);
        for time in times {
            (from, to) = (from.min(time), to.max(time));
        }
        Self { from, to, now }
    }

    /// The first days of months, at most eight of them, each with its name; of years where months are too many.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let day = |time: Timestamp| time.to_zoned(TimeZone::UTC).date();
        let months = |date: Date| i32::from(date.year()) * 12 + i32::from(date.month()) - 1;
        let (first, last) = (months(day(self.from)) + 1, months(day(self.to)));
        let step = [1, 2, 3, 6, 12, 24, 60, 120].into_iter().find(|step| (last - first) / step < 8).unwrap_or(1200);
        let first = first + (step - first.rem_euclid(step)) % step;
        let mut form = "%b %Y";
        (first..=last)
            .step_by(usize::try_from(step).unwrap_or(1))
            .filter_map(|month| {
                let (year, of_year) = (i16::try_from(month.div_euclid(12)).ok()?, month.rem_euclid(12));
                let date = Date::new(year, i8::try_from(of_year + 1).ok()?, 1).ok()?;
                let time = date.to_zoned(TimeZone::UTC).ok()?.timestamp();
                let name = date.strftime(if of_year == 0 && form == "%b" { "%Y" } else { form }).to_string();
                form = "%b";
                Some((self.at(time), name))
            })
            .collect()
    }

    /// Where a time lies, 0 to [`WIDTH`].
    pub fn at(&self, time: Timestamp) -> f64 {
        let seconds = |a: Timestamp, b: Timestamp| b.duration_since(a).as_secs_f64();
        let whole = seconds(self.from, self.to);
        if whole <= 0.0 { WIDTH / 2.0 } else { (seconds(self.from, time) / whole).clamp(0.0, 1.0) * WIDTH }
    }
}

/// One secret's life since its last change: how much of the time until it is due is used up.
pub fn timeline(entry: &EvidenceEntry, axis: &Axis) -> String {
    let (changed, due) = (entry.changed(), entry.standing.due);
    let mut says = format!("{}: {}", entry.name, phrase(entry.state()));
    match (changed, due) {
        (Some(changed), Some(due)) => {
            let _ = write!(says, ", last changed {}, due {}", date(changed), date(due));
            let distance = days_between(axis.now, due);
            let _ = if due <= axis.now { write!(says, ", {distance} late") } else { write!(says, ", {distance} left") };
        }
        _ => says.push_str(", no change is known"),
    }
    let today = axis.at(axis.now);
    let mut shapes = String::from("<rect class=\"track\" width=\"1000\" height=\"16\"/>");
    for (at, _) in axis.ticks() {
        let _ = write!(shapes, "<rect class=\"tick\" x=\"{at:.1}\" width=\"1\" height=\"16\"/>");
    }
    if let (Some(changed), Some(due)) = (changed, due) {
        let (start, end) = (axis.at(changed), axis.at(due));
        let _ = write!(
            shapes,
            "<rect class=\"{}\" x=\"{start:.1}\" y=\"3\" width=\"{:.1}\" height=\"10\"/>",
            entry.state().word(),
            (end - start).max(2.0)
        );
        if due < axis.now {
            let _ = write!(
                shapes,
                "<rect class=\"late\" x=\"{end:.1}\" y=\"6\" width=\"{:.1}\" height=\"4\"/>",
                (today - end).max(0.0)
            );
        }
    }
    let _ = write!(shapes, "<rect class=\"today\" x=\"{:.1}\" width=\"3\" height=\"16\"/>", (today - 1.5).max(0.0));
    svg("bar", 16.0, &says, &shapes)
}

/// Shares of a whole, one beside the other; each with its class.
pub fn shares(parts: &[(&str, usize)], says: &str) -> String {
    let whole = parts.iter().map(|(_, count)| count).sum::<usize>().max(1);
    let mut shapes = String::from("<rect class=\"track\" width=\"1000\" height=\"16\"/>");
    let mut before = 0;
    for (class, count) in parts {
        let (left, width) = (ratio(before, whole) * WIDTH, ratio(*count, whole) * WIDTH);
        let _ = write!(shapes, "<rect class=\"{class}\" x=\"{left:.1}\" width=\"{width:.1}\" height=\"16\"/>");
        before += count;
    }
    svg("bar tall", 16.0, says, &shapes)
}

/// A share of a whole, in the colour of `class`.
pub fn meter(part: usize, whole: usize, class: &str, says: &str) -> String {
    let share = if whole == 0 { 0.0 } else { ratio(part, whole) * WIDTH };
    let shapes = format!(
        "<rect class=\"track\" width=\"1000\" height=\"16\"/><rect class=\"{class}\" width=\"{share:.1}\" height=\"16\"/>"
    );
    svg("bar", 16.0, says, &shapes)
}

/// Columns of changes per day, failures on top.
pub fn columns(days: &[(String, DayCount)], says: &str) -> String {
    let most = days.iter().map(|(_, day)| day.changed + day.failed).max().unwrap_or(0).max(1);
    let step = ratio(1, days.len().max(1)) * WIDTH;
    let mut shapes = String::new();
    for (index, (_, day)) in days.iter().enumerate() {
        let left = ratio(index, days.len()) * WIDTH;
        let (low, high) = (ratio(day.changed, most) * 100.0, ratio(day.failed, most) * 100.0);
        for (class, bottom, height) in [("ok", 100.0, low), ("overdue", 100.0 - low, high)] {
            if height > 0.0 {
                let _ = write!(
                    shapes,
                    "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"/>",
                    bottom - height,
                    (step * 0.8).max(1.0)
                );
            }
        }
    }
    shapes.push_str("<rect class=\"today\" y=\"99\" width=\"1000\" height=\"1\"/>");
    svg("columns", 100.0, says, &shapes)
}

#[expect(clippy::cast_precision_loss, reason = "a drawing needs no more than 52 bits")]
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

fn svg(class: &str, height: f64, says: &str, shapes: &str) -> String {
    let says = escaped(says);
    format!(
        "<svg class=\"{class}\" role=\"img\" aria-label=\"{says}\" viewBox=\"0 0 1000 {height}\" preserveAspectRatio=\"none\"><title>{says}</title>{shapes}</svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::super::samples::{evidence, now};
    use super::*;

    #[test]
    fn a_bar_says_in_words_what_it_shows() {
        let evidence = evidence(60);
        let entries = evidence.by_urgency();
        let axis = Axis::of(&entries, now());
        let first = timeline(entries[0], &axis);
        assert!(first.contains("overdue, last changed") && first.contains(" late\""), "{first}");
        assert!(first.contains("class=\"late\""));
        let last = timeline(entries[entries.len() - 1], &axis);
        assert!(last.contains("in time") && last.contains(" left\""), "{last}");
        assert!((axis.at(axis.from), axis.at(axis.to)) == (0.0, 1000.0));
    }

    #[test]
    fn an_axis_has_few_ticks_on_the_first_of_months() {
        let axis = |from: &str, to: &str| Axis { from: from.parse().unwrap(), to: to.parse().unwrap(), now: now() };
        let names = |axis: Axis| axis.ticks().into_iter().map(|(_, name)| name).collect::<Vec<_>>();
        let year = axis("2026-11-05T00:00:00Z", "2027-02-01T00:00:00Z");
        assert_eq!(names(year), ["Dec 2026", "2027", "Feb"]);
        assert!((year.ticks()[2].0 - 1000.0).abs() < 1e-9);
        assert_eq!(
            names(axis("2025-01-15T00:00:00Z", "2026-06-01T00:00:00Z")),
            ["Apr 2025", "Jul", "Oct", "2026", "Apr"]
        );
        assert_eq!(names(axis("2026-01-02T00:00:00Z", "2026-01-31T00:00:00Z")), [""; 0]);
        let ages = axis("1970-01-01T00:00:00Z", "2026-01-01T00:00:00Z").ticks();
        assert!(ages.len() <= 8 && ages.len() > 3, "{ages:?}");
    }

    #[test]
    fn shares_fill_the_whole() {
        let bar = shares(&[("overdue", 1), ("due-soon", 0), ("ok", 3)], "states");
        assert!(bar.contains("class=\"overdue\" x=\"0.0\" width=\"250.0\""), "{bar}");
        assert!(bar.contains("class=\"ok\" x=\"250.0\" width=\"750.0\""), "{bar}");
        assert!(shares(&[], "nothing").contains("track"));
    }

    #[test]
    fn an_axis_without_time_and_a_chart_without_days_draw_something() {
        let axis = Axis::of(&[], now());
        assert!((axis.at(now()) - 500.0).abs() < 1e-9);
        assert!(columns(&[], "none").contains("aria-label=\"none\""));
        assert!(meter(0, 0, "ok", "<b>").contains("&lt;b&gt;"));
    }
}
