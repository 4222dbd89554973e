//! The words and tables of the demonstration. Pure, but for [`Screen`].

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use crate::lease::Tally;
use crate::ledger::Books;
use crate::receiver::Counts;

/// What the table shows of one endpoint.
#[derive(Debug)]
pub(crate) struct Row {
    /// Endpoint name.
    pub(crate) name: String,
    /// The queue's counts.
    pub(crate) tally: Tally,
}

/// Sums of the tallies, for the progress line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Deliveries accepted so far.
    pub(crate) accepted: u64,
    /// Acknowledged by their receivers.
    pub(crate) delivered: u64,
    /// Given up.
    pub(crate) given_up: u64,
    /// Delivery processes killed.
    pub(crate) killed: u64,
}

impl Progress {
    /// Deliveries that are finished, one way or the other.
    pub(crate) fn finished(&self) -> u64 {
        self.delivered + self.given_up
    }

    /// One line; `expected` deliveries in all.
    pub(crate) fn line(&self, elapsed: Duration, expected: u64) -> String {
        let percent = self.finished() * 100 / expected.max(1);
        format!(
            "{:>5.1} s  {percent:>3} %  accepted {}, delivered {}, given up {}, on the way {}; kills {}",
            elapsed.as_secs_f64(),
            number(self.accepted),
            number(self.delivered),
            number(self.given_up),
            number(self.accepted.saturating_sub(self.finished())),
            self.killed,
        )
    }
}

/// The table of the end, with the explanation of its columns.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut lines = vec![
        ["endpoint", "accepted", "delivered", "retried", "given up", "restarts", "p50", "p99"]
            .map(String::from),
    ];
    let mut sums = [0; 5];
    for Row { name, tally } in rows {
        let counts = [tally.accepted, tally.delivered, tally.retried, tally.given_up, tally.restarts];
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        let [p50, p99] = [0.5, 0.99].map(|share| latency(tally.latencies.percentile(share)));
        let [accepted, delivered, retried, given_up, restarts] = counts.map(number);
        lines.push([name.clone(), accepted, delivered, retried, given_up, restarts, p50, p99]);
    }
    let [accepted, delivered, retried, given_up, restarts] = sums.map(number);
    lines.push([
        "together".into(),
        accepted,
        delivered,
        retried,
        given_up,
        restarts,
        String::new(),
        String::new(),
    ]);
    let mut text = aligned(&lines);
    text.push_str(
        "\n  retried    failed attempts that were followed by another\
         \n  given up   deliveries that failed as often as their endpoint allows\
         \n  restarts   times the supervisor replaced a killed delivery process\
         \n  p50, p99   half, and 99 of 100, of the deliveries took at most this long, from intake to acknowledgement\n",
    );
    text
}

/// The ledger check in words.
pub(crate) fn ledger(books: &[(Books, Counts)]) -> String {
    let mut text = String::from(
        "Ledger check: what the intake accepted, what became of it, and what each receiver counted itself\n",
    );
    let width = books.iter().map(|(books, _)| books.endpoint.len()).max().unwrap_or_default();
    let mut all_agree = true;
    for (books, counts) in books {
        let differences = books.differences();
        let _ = writeln!(
            text,
            "  {:<width$}  {} accepted = {} delivered + {} given up; the receiver has {}{}  {}",
            books.endpoint,
            number(books.accepted.len() as u64),
            number(books.delivered.len() as u64),
            number(books.given_up.len() as u64),
            number(counts.distinct),
            repeats(counts),
            if differences.is_empty() { "ok" } else { "DIFFERENT" },
        );
        for difference in &differences {
            all_agree = false;
            let _ = writeln!(text, "  {:<width$}    {}", "", format_args!("! {difference}"));
        }
    }
    text.push_str(if all_agree {
        "All books agree: each accepted delivery reached its receiver at least once or was given up; none is lost.\n"
    } else {
        "THE BOOKS DIFFER: deliveries are missing or wrongly counted, see above.\n"
    });
    text
}

fn repeats(counts: &Counts) -> String {
    match counts.taken.saturating_sub(counts.distinct) {
        0 => String::new(),
        1 => " (and 1 repeat)".to_owned(),
        n => format!(" (and {} repeats)", number(n)),
    }
}

/// Columns: the first left, the others right; a rule under the head and above the sums.
fn aligned<const N: usize>(lines: &[[String; N]]) -> String {
    let widths: [usize; N] = std::array::from_fn(|column| {
        lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)
    });
    let rule = format!("  {}\n", "-".repeat(widths.iter().sum::<usize>() + 2 * (N - 1)));
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        if index == 1 || index + 1 == lines.len() {
            text.push_str(&rule);
        }
        let mut row = format!("  {:<width$}", line[0], width = widths[0]);
        for (cell, width) in line.iter().zip(widths).skip(1) {
            let _ = write!(row, "  {cell:>width$}");
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// `12500` as `12,500`.
pub(crate) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn latency(duration: Option<Duration>) -> String {
    let Some(duration) = duration else { return "-".to_owned() };
    let ms = duration.as_secs_f64() * 1_000.0;
    match ms {
        ..10.0 => format!("{ms:.1} ms"),
        10.0..1_000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.1} s", ms / 1_000.0),
    }
}

/// Standard output: on a terminal the progress line is drawn over itself, elsewhere it is one line each
/// second.
///
/// A closed output (`… | head`) is no reason to stop: what cannot be written is dropped.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: bool,
    line_drawn: bool,
}

impl Screen {
    /// Looks at standard output.
    pub(crate) fn new() -> Self {
        Screen { terminal: io::stdout().is_terminal(), line_drawn: false }
    }

    /// Time between two progress lines.
    pub(crate) fn progress_interval(&self) -> Duration {
        Duration::from_millis(if self.terminal { 100 } else { 1_000 })
    }

    /// Shows the progress line.
    pub(crate) fn progress(&mut self, line: &str) {
        if self.terminal {
            write(&format!("\r\x1b[K{line}"));
            self.line_drawn = true;
        } else {
            write(&format!("{line}\n"));
        }
    }

    /// Writes text that stays.
    pub(crate) fn say(&mut self, text: &str) {
        if std::mem::take(&mut self.line_drawn) {
            write("\r\x1b[K");
        }
        write(&format!("{text}\n"));
    }
}

fn write(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::DeliveryId;
    use crate::latency::Latencies;

    fn tally(accepted: u64, given_up: u64) -> Tally {
        let mut latencies = Latencies::new();
        (given_up..accepted).for_each(|_| latencies.record(Duration::from_millis(40)));
        let delivered = accepted - given_up;
        Tally { accepted, delivered, retried: 7, given_up, interrupted: 0, restarts: 2, latencies }
    }

    #[test]
    fn the_table_lines_up_and_sums_up() {
        let rows = [
            Row { name: "healthy".into(), tally: tally(2_500, 0) },
            Row { name: "dead".into(), tally: tally(1_000, 1_000) },
        ];
        let text = table(&rows);
        let lines: Vec<_> = text.lines().take(6).collect();
        let expected = [
            "  endpoint  accepted  delivered  retried  given up  restarts    p50    p99",
            "  ------------------------------------------------------------------------",
            "  healthy      2,500      2,500        7         0         2  41 ms  41 ms",
            "  dead         1,000          0        7     1,000         2      -      -",
            "  ------------------------------------------------------------------------",
            "  together     3,500      2,500       14     1,000         4",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn the_progress_line_says_how_far_it_is() {
        let progress = Progress { accepted: 5_000, delivered: 3_000, given_up: 1_000, killed: 3 };
        assert_eq!(
            progress.line(Duration::from_millis(12_340), 10_000),
            " 12.3 s   40 %  accepted 5,000, delivered 3,000, given up 1,000, on the way 1,000; kills 3"
        );
    }

    fn books(received: &[&str]) -> (Books, Counts) {
        let ids = |ids: &[&str]| ids.iter().map(|id| DeliveryId::from(*id)).collect();
        let received_count = received.len() as u64;
        let books = Books {
            endpoint: "shop".into(),
            accepted: ids(&["a", "b", "c"]),
            delivered: ids(&["a", "b"]),
            given_up: ids(&["c"]),
            received: ids(received),
            received_count,
        };
        (books, Counts { distinct: received_count, taken: 5, requests: 9, unsigned: 0 })
    }

    #[test]
    fn books_that_agree_are_confirmed_in_words() {
        let text = ledger(&[books(&["a", "b"])]);
        assert!(
            text.contains(
                "shop  3 accepted = 2 delivered + 1 given up; the receiver has 2 (and 3 repeats)  ok"
            ),
            "{text}"
        );
        assert!(text.contains("All books agree"), "{text}");
    }

    #[test]
    fn a_difference_is_shown_under_its_endpoint() {
        let text = ledger(&[books(&["a"])]);
        assert!(text.contains("DIFFERENT\n"), "{text}");
        assert!(text.contains("! 1 delivered by our books, but the receiver does not have it (b)"), "{text}");
        assert!(text.contains("THE BOOKS DIFFER"), "{text}");
    }

    #[test]
    fn numbers_and_times_are_easy_to_read() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        let times = [Some(420), Some(9_940), Some(41_000), Some(2_500_000), None];
        let shown = times.map(|micros| latency(micros.map(Duration::from_micros)));
        assert_eq!(shown, ["0.4 ms", "9.9 ms", "41 ms", "2.5 s", "-"]);
    }
}
