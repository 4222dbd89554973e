//! Places in a file where something can be done wrong at run time, and the text with all of them planted. Pure.
//!
//! Sites nest: the operand of a comparison may hold another comparison. A site therefore says what its text consists of: parts of the
//! file, in which further sites are planted, and text of its own around them. No part of the file that holds sites is written twice, so
//! the planted text grows with the number of mutants and no faster.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::Range;

/// One mechanical change of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// The kind of change.
    pub(super) operator: &'static str,
    /// Where it is, as a person would say it: `Children::restart`.
    pub(super) place: String,
    /// From 1.
    pub(super) line: usize,
    /// The line, without the white space around it.
    pub(super) text: String,
    /// What becomes of what.
    pub(super) change: String,
}

/// What the text of a site is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(&'static str),
    /// Part of the file, with the sites in it.
    Part(Range<usize>),
    /// Whether the site's one mutant is on.
    On,
    /// One text per mutant of the site, and the one for none.
    Choice(Vec<String>, String),
}

/// Where, which changes, and how they are planted.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) range: Range<usize>,
    pub(super) changes: Vec<Change>,
    pub(super) pieces: Vec<Piece>,
}

/// A file's text with its sites planted.
#[derive(Debug, Default)]
pub(super) struct Planted {
    pub(super) text: String,
    /// Where in `text` the site of which mutants is.
    places: Vec<(Range<usize>, Vec<u32>)>,
}

impl Planted {
    /// The mutants of the smallest site around a part of the text.
    pub(super) fn innermost(&self, part: &Range<usize>) -> Option<&[u32]> {
        let around =
            self.places.iter().filter(|(place, _)| place.start <= part.start && part.end <= place.end);
        around.min_by_key(|(place, _)| place.len()).map(|(_, mutants)| mutants.as_slice())
    }
}

/// What is called to ask for mutant number `n`.
fn switch(number: u32) -> String {
    format!("crate::mutant_at({number})")
}

/// Plants the sites of a file. The changes are numbered from `first` on in the order of the sites; those in `dropped` are left out.
pub(super) fn plant(text: &str, sites: &[Site], first: u32, dropped: &BTreeSet<u32>) -> Planted {
    let mut next = first;
    let mut numbered: Vec<Numbered<'_>> = Vec::with_capacity(sites.len());
    for site in sites {
        let numbers: Vec<u32> = (next..).take(site.changes.len()).collect();
        next += site.changes.len() as u32;
        numbered.push(Numbered { site, numbers });
    }
    // What is around comes before what is inside; of two at the same place the one that was found first is around the other.
    numbered.sort_by_key(|numbered| (numbered.site.range.start, Reverse(numbered.site.range.end)));
    let mut planted = Planted::default();
    Writer { text, dropped, planted: &mut planted }.part(0..text.len(), &numbered);
    planted
}

struct Numbered<'s> {
    site: &'s Site,
    numbers: Vec<u32>,
}

struct Writer<'t> {
    text: &'t str,
    dropped: &'t BTreeSet<u32>,
    planted: &'t mut Planted,
}

impl Writer<'_> {
    /// Writes a part of the file with `sites`, which are those inside of it.
    fn part(&mut self, part: Range<usize>, mut sites: &[Numbered<'_>]) {
        let mut at = part.start;
        while let Some((outer, rest)) = sites.split_first() {
            let range = outer.site.range.clone();
            let inside = rest.iter().take_while(|site| site.site.range.end <= range.end).count();
            let (inner, after) = rest.split_at(if range.is_empty() { 0 } else { inside });
            self.planted.text += &self.text[at..range.start];
            self.site(outer, inner);
            at = range.end;
            sites = after;
        }
        self.planted.text += &self.text[at..part.end];
    }

    fn site(&mut self, Numbered { site, numbers }: &Numbered<'_>, inner: &[Numbered<'_>]) {
        let on: Vec<u32> = numbers.iter().copied().filter(|number| !self.dropped.contains(number)).collect();
        if on.is_empty() {
            return self.part(site.range.clone(), inner);
        }
        let start = self.planted.text.len();
        for piece in &site.pieces {
            match piece {
                Piece::Text(text) => self.planted.text += text,
                Piece::On => self.planted.text += &switch(on[0]),
                Piece::Part(range) => {
                    let before = inner.partition_point(|site| site.site.range.start < range.start);
                    let up_to = inner.partition_point(|site| site.site.range.start < range.end);
                    self.part(range.clone(), &inner[before..up_to]);
                },
                Piece::Choice(texts, none) => {
                    for (number, text) in numbers.iter().zip(texts) {
                        if on.contains(number) {
                            self.planted.text += &format!("if {} {{ {text} }} else ", switch(*number));
                        }
                    }
                    self.planted.text += &format!("{{ {none} }}");
                },
            }
        }
        self.planted.places.push((start..self.planted.text.len(), on));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(range: Range<usize>, pieces: Vec<Piece>) -> Site {
        let change = Change {
            operator: "test",
            place: String::new(),
            line: 1,
            text: String::new(),
            change: String::new(),
        };
        Site { range, changes: vec![change], pieces }
    }

    fn not(range: Range<usize>) -> Site {
        let pieces = vec![
            Piece::Text("("),
            Piece::Part(range.clone()),
            Piece::Text(" != "),
            Piece::On,
            Piece::Text(")"),
        ];
        site(range, pieces)
    }

    const TEXT: &str = "if a + b { c }";

    #[test]
    fn sites_inside_of_each_other_are_all_planted() {
        let planted = plant(TEXT, &[not(3..8), not(3..8), not(7..8), not(11..12)], 1, &BTreeSet::new());
        assert_eq!(
            planted.text.replace("crate::mutant_at", "m"),
            "if ((a + (b != m(3)) != m(2)) != m(1)) { (c != m(4)) }"
        );
    }

    #[test]
    fn a_mutant_that_is_dropped_leaves_the_ones_inside_of_it() {
        let planted = plant(TEXT, &[not(3..8), not(7..8)], 5, &BTreeSet::from([5]));
        assert_eq!(planted.text, "if a + (b != crate::mutant_at(6)) { c }");
    }

    #[test]
    fn an_insertion_has_nothing_inside() {
        let insertion = site(10..10, vec![Piece::Text(" if "), Piece::On, Piece::Text(" { return; }")]);
        let planted = plant(TEXT, &[insertion.clone(), insertion, not(11..12)], 1, &BTreeSet::new());
        assert_eq!(
            planted.text.replace("crate::mutant_at", "m"),
            "if a + b { if m(1) { return; } if m(2) { return; } (c != m(3)) }"
        );
    }

    #[test]
    fn of_several_mutants_of_a_site_each_can_be_dropped() {
        let choice = Piece::Choice(vec!["x".to_owned(), "y".to_owned()], "b".to_owned());
        let mut two = site(7..8, vec![choice]);
        two.changes.push(two.changes[0].clone());
        let text = |dropped: &[u32]| plant(TEXT, &[two.clone()], 1, &dropped.iter().copied().collect()).text;
        assert_eq!(
            text(&[]),
            "if a + if crate::mutant_at(1) { x } else if crate::mutant_at(2) { y } else { b } { c }"
        );
        assert_eq!(text(&[1]), "if a + if crate::mutant_at(2) { y } else { b } { c }");
        assert_eq!(text(&[1, 2]), TEXT);
    }

    #[test]
    fn the_smallest_site_around_an_error_is_found() {
        let planted = plant(TEXT, &[not(3..8), not(7..8)], 1, &BTreeSet::new());
        let at = |text: &str| {
            let start = planted.text.find(text).expect("it is planted");
            planted.innermost(&(start..start + text.len())).map(<[u32]>::to_vec)
        };
        assert_eq!(at("b != "), Some(vec![2]));
        assert_eq!(at("a + "), Some(vec![1]));
        assert_eq!(at("{ c"), None);
    }
}
