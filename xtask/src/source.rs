//! A lexical view of one Rust file: enough for the checks, far less than a parser.
//!
//! [`Source::new`] makes one pass over the characters and sorts them into code, comments and literals:
//!
//! ```text
//!          //          /*  (nests)          "  b" c"          r#" br" cr##"        'x' '\n'
//! Code ──────► Line    ──────► Block   ──────► Text    ──────► Raw(hashes)   ──────► (skipped whole)
//!      ◄──eol──        ◄──*/──         ◄───"───        ◄──"##───             ◄──'───
//! ```
//!
//! Code keeps its place in the line; a literal becomes `""`, so nothing inside one can be mistaken for code.
//! A second pass cuts code into [`Token`]s and marks those that belong to an item under `#[cfg(test)]`.

/// One line of a file.
#[derive(Debug, Default, Clone)]
pub(crate) struct Line {
    /// Whether anything but white space and comments stands on the line (the inside of a literal counts).
    pub(crate) has_code: bool,
    /// The text of all comments on the line, doc comments included, with their `//`.
    pub(crate) comment: String,
    /// Whether the line belongs to an item under `#[cfg(test)]`.
    pub(crate) in_test: bool,
    code: String,
}

/// An identifier, a `::`, or one character of punctuation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// The characters.
    pub(crate) text: String,
    /// Index into [`Source::lines`], from 0.
    pub(crate) line: usize,
}

/// A path of at least two segments as written in code, with groups expanded: `use a::{b, c::d}` gives `a::b` and
/// `a::c::d`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathUse {
    /// The segments, without `::`; a glob ends in `*`.
    pub(crate) segments: Vec<String>,
    /// The name that `as` gives it, if any.
    pub(crate) alias: Option<String>,
    /// Index into [`Source::lines`], from 0, of the last segment.
    pub(crate) line: usize,
}

/// The lexical view of a file.
#[derive(Debug)]
pub(crate) struct Source {
    /// The lines in order.
    pub(crate) lines: Vec<Line>,
    /// All tokens in order.
    pub(crate) tokens: Vec<Token>,
}

impl Source {
    /// Reads `text`. Never fails: text that is not Rust gives odd tokens, not a panic.
    pub(crate) fn new(text: &str) -> Source {
        let lines = Lexer::new(text).lines();
        let tokens =
            lines.iter().enumerate().flat_map(|(index, line)| tokens_of(&line.code, index)).collect();
        let mut source = Source { lines, tokens };
        source.mark_tests();
        source
    }

    /// How many lines hold code outside of tests.
    pub(crate) fn code_lines(&self) -> usize {
        self.lines.iter().filter(|line| line.has_code && !line.in_test).count()
    }

    /// The names of the modules that are declared, without a body, under `#[cfg(test)]`.
    pub(crate) fn test_modules(&self) -> Vec<&str> {
        let declares = |at: &usize| {
            self.text(*at) == "mod" && self.text(at + 2) == ";" && self.lines[self.tokens[*at].line].in_test
        };
        (0..self.tokens.len()).filter(declares).map(|at| self.text(at + 1)).collect()
    }

    /// Every path of two segments or more, in order of appearance.
    pub(crate) fn paths(&self) -> Vec<PathUse> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            if self.starts_path(at) {
                at = self.read_path(at, &mut Vec::new(), &mut found);
            } else {
                at += 1;
            }
        }
        found.retain(|path| path.segments.len() > 1);
        found
    }

    /// Whether the tokens from `at` on are exactly `texts`.
    pub(crate) fn matches(&self, at: usize, texts: &[&str]) -> bool {
        texts.iter().enumerate().all(|(offset, text)| self.text(at + offset) == *text)
    }

    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text.as_str())
    }

    /// An identifier starts a path unless it is a keyword, continues a path (`a::b`) or belongs to a type
    /// (`<T as Trait>::b`).
    fn starts_path(&self, at: usize) -> bool {
        let continues = at >= 2 && self.text(at - 1) == "::" && {
            let before = self.text(at - 2);
            before == ">" || is_name(before)
        };
        is_name(self.text(at)) && !continues
    }

    /// Reads the path that starts at `at` below `prefix`; returns the index after it.
    fn read_path(&self, mut at: usize, prefix: &mut Vec<String>, found: &mut Vec<PathUse>) -> usize {
        let depth = prefix.len();
        loop {
            let here = self.text(at).to_owned();
            if here == "{" {
                at = self.read_group(at + 1, prefix, found);
                break;
            }
            if !is_identifier(&here) && here != "*" {
                break;
            }
            let line = self.tokens[at].line;
            // `use a::{self}` names `a` itself.
            if here != "self" || prefix.is_empty() {
                prefix.push(here);
            }
            at += 1;
            // A `::` that leads on to neither a name nor a group is a turbofish: the path ends before it.
            let leads_on = is_identifier(self.text(at + 1)) || matches!(self.text(at + 1), "*" | "{");
            if self.text(at) == "::" && leads_on {
                at += 1;
                continue;
            }
            let alias = (self.text(at) == "as" && is_identifier(self.text(at + 1))).then(|| {
                at += 2;
                self.text(at - 1).to_owned()
            });
            found.push(PathUse { segments: prefix.clone(), alias, line });
            break;
        }
        prefix.truncate(depth);
        at
    }

    /// Reads the inside of `{…}` in a `use`; returns the index after the closing brace.
    fn read_group(&self, mut at: usize, prefix: &mut Vec<String>, found: &mut Vec<PathUse>) -> usize {
        while at < self.tokens.len() && self.text(at) != "}" {
            let next = if self.text(at) == "," { at } else { self.read_path(at, prefix, found) };
            at = next.max(at + usize::from(next == at));
        }
        at + 1
    }

    /// Marks the lines of every item that stands under `#[cfg(test)]` or `#[cfg(all(test, …))]`.
    fn mark_tests(&mut self) {
        let mut at = 0;
        while at < self.tokens.len() {
            let is_test_attribute = self.matches(at, &["#", "[", "cfg", "(", "test", ")", "]"])
                || self.matches(at, &["#", "[", "cfg", "(", "all", "(", "test"]);
            if !is_test_attribute {
                at += 1;
                continue;
            }
            let end = self.end_of_item(at);
            let (first, last) = (self.tokens[at].line, self.tokens[end.min(self.tokens.len() - 1)].line);
            for line in &mut self.lines[first..=last] {
                line.in_test = true;
            }
            at = end + 1;
        }
    }

    /// Index of the last token of the item whose attributes start at `at`: its `;`, or the brace that closes its body.
    fn end_of_item(&self, mut at: usize) -> usize {
        while self.text(at) == "#" {
            at = self.closing(at + 1) + 1;
        }
        while at < self.tokens.len() {
            match self.text(at) {
                ";" => return at,
                "{" => return self.closing(at),
                "(" | "[" => at = self.closing(at) + 1,
                _ => at += 1,
            }
        }
        at
    }

    /// Index of the token that closes the bracket at `open`, or of the last token if nothing does.
    fn closing(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for at in open..self.tokens.len() {
            match self.text(at) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {},
            }
            if depth == 0 {
                return at;
            }
        }
        self.tokens.len().saturating_sub(1)
    }
}

/// Whether `word` occurs in `text` with no identifier character on either side.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_identifier_char) && !after.is_some_and(is_identifier_char)
    })
}

fn is_identifier_char(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn is_identifier(text: &str) -> bool {
    text.chars().next().is_some_and(|c| is_identifier_char(c) && !c.is_numeric())
}

/// Keywords that stand directly before a path, which may begin with `::`.
const BEFORE_PATHS: &[&str] = &[
    "as", "await", "dyn", "else", "for", "if", "impl", "in", "let", "match", "mut", "ref", "return", "use",
    "where", "while",
];

fn is_name(text: &str) -> bool {
    is_identifier(text) && !BEFORE_PATHS.contains(&text)
}

fn tokens_of(code: &str, line: usize) -> Vec<Token> {
    let chars: Vec<char> = code.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let start = at;
        if chars[at].is_whitespace() {
            at += 1;
            continue;
        } else if is_identifier_char(chars[at]) {
            while at < chars.len() && is_identifier_char(chars[at]) {
                at += 1;
            }
        } else if chars[at..].starts_with(&[':', ':']) {
            at += 2;
        } else {
            at += 1;
        }
        tokens.push(Token { text: chars[start..at].iter().collect(), line });
    }
    tokens
}

/// Where the lexer is; the diagram is at the top of the file.
#[derive(Clone, Copy)]
enum State {
    Code,
    LineComment,
    BlockComment(usize),
    Text,
    Raw(usize),
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    done: Vec<Line>,
    line: Line,
}

impl Lexer {
    fn new(text: &str) -> Lexer {
        Lexer { chars: text.chars().collect(), at: 0, done: Vec::new(), line: Line::default() }
    }

    fn lines(mut self) -> Vec<Line> {
        let mut state = State::Code;
        while self.at < self.chars.len() {
            let c = self.chars[self.at];
            if c == '\n' {
                if matches!(state, State::LineComment) {
                    state = State::Code;
                }
                self.done.push(std::mem::take(&mut self.line));
                self.at += 1;
                continue;
            }
            state = match state {
                State::Code => self.code(c),
                State::LineComment => self.comment(1, state),
                State::BlockComment(depth) => self.block_comment(depth),
                State::Text => self.text(c),
                State::Raw(hashes) => self.raw(hashes),
            };
        }
        if self.line.has_code || !self.line.comment.is_empty() {
            self.done.push(self.line);
        }
        self.done
    }

    fn starts_with(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(offset, c)| self.chars.get(self.at + offset) == Some(&c))
    }

    /// Takes `count` characters as comment.
    fn comment(&mut self, count: usize, next: State) -> State {
        let end = (self.at + count).min(self.chars.len());
        self.line.comment.extend(&self.chars[self.at..end]);
        self.at = end;
        next
    }

    fn block_comment(&mut self, depth: usize) -> State {
        if self.starts_with("/*") {
            return self.comment(2, State::BlockComment(depth + 1));
        }
        if self.starts_with("*/") {
            let next = if depth == 1 { State::Code } else { State::BlockComment(depth - 1) };
            return self.comment(2, next);
        }
        self.comment(1, State::BlockComment(depth))
    }

    fn code(&mut self, c: char) -> State {
        if self.starts_with("//") {
            return State::LineComment;
        }
        if self.starts_with("/*") {
            return self.comment(2, State::BlockComment(1));
        }
        if c == '"' {
            return self.open_literal(1, State::Text);
        }
        if let Some(hashes) = self.raw_string_here() {
            let prefix = self.chars[self.at..].iter().take_while(|c| c.is_alphabetic()).count();
            return self.open_literal(prefix + hashes + 1, State::Raw(hashes));
        }
        if c == '\''
            && let Some(length) = self.char_literal_here()
        {
            return self.open_literal(length, State::Code);
        }
        self.line.has_code |= !c.is_whitespace();
        self.line.code.push(c);
        self.at += 1;
        State::Code
    }

    fn open_literal(&mut self, length: usize, next: State) -> State {
        self.line.has_code = true;
        self.line.code.push_str("\"\"");
        self.at += length;
        next
    }

    /// The number of `#` of a raw string that starts here, if one does (`r#type` is an identifier, not a string).
    fn raw_string_here(&self) -> Option<usize> {
        let inside_word = self.at > 0 && is_identifier_char(self.chars[self.at - 1]);
        if inside_word {
            return None;
        }
        let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
            self.starts_with(prefix) && matches!(self.chars.get(self.at + prefix.len()), Some('#' | '"'))
        })?;
        let rest = &self.chars[self.at + prefix.len()..];
        let hashes = rest.iter().take_while(|c| **c == '#').count();
        (rest.get(hashes) == Some(&'"')).then_some(hashes)
    }

    /// The length of the character literal that starts here; `None` for a lifetime or label.
    fn char_literal_here(&self) -> Option<usize> {
        if self.chars.get(self.at + 1) == Some(&'\\') {
            let body = self.chars.get(self.at + 3..)?;
            return body.iter().position(|c| *c == '\'').map(|close| close + 4);
        }
        (self.chars.get(self.at + 2) == Some(&'\'')).then_some(3)
    }

    fn text(&mut self, c: char) -> State {
        self.line.has_code |= !c.is_whitespace();
        // An escaped line break is left to the main loop, which counts lines.
        let escaped = c == '\\' && self.chars.get(self.at + 1) != Some(&'\n');
        self.at += if escaped { 2 } else { 1 };
        if c == '"' { State::Code } else { State::Text }
    }

    fn raw(&mut self, hashes: usize) -> State {
        self.line.has_code |= !self.chars[self.at].is_whitespace();
        let closes = self.chars[self.at] == '"'
            && self.chars[self.at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
        self.at += if closes { 1 + hashes } else { 1 };
        if closes { State::Code } else { State::Raw(hashes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        Source::new(text).paths().iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn docs_comments_and_blank_lines_are_not_code() {
        let text = "//! Docs.\n\n/// Item docs.\nfn a() {} // tail\n/* block\n still block /* nested */\n*/ fn b() {}\n";
        assert_eq!(Source::new(text).code_lines(), 2);
    }

    #[test]
    fn an_item_under_cfg_test_is_not_counted_but_what_follows_it_is() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn t() { if x {} }\n}\nfn b() {}\n#[cfg(test)]\nmod more;\nfn c() {}\n";
        let source = Source::new(text);
        assert_eq!(source.code_lines(), 3);
        assert!(source.lines[3].in_test && !source.lines[5].in_test && !source.lines[8].in_test);
    }

    #[test]
    fn a_test_item_with_more_attributes_and_arguments_is_marked_to_its_end() {
        let text = "#[cfg(all(test, not(loom)))]\n#[allow(x)]\nfn f(a: [u8; 3]) -> u8 {\n  1\n}\nfn g() {}\n";
        let marked: Vec<bool> = Source::new(text).lines.iter().map(|line| line.in_test).collect();
        assert_eq!(marked, [true, true, true, true, true, false]);
    }

    #[test]
    fn words_inside_literals_and_comments_are_not_tokens() {
        let text = "let a = \"unsafe \\\" unsafe\"; // unsafe\nlet b = r#\"unsafe \" unsafe\"#; let c = '\"'; let d = b\"unsafe\";\n";
        let source = Source::new(text);
        assert!(source.tokens.iter().all(|token| token.text != "unsafe"));
        assert!(source.tokens.iter().any(|token| token.text == "d"));
    }

    #[test]
    fn lines_inside_a_long_literal_count_as_code() {
        assert_eq!(Source::new("let a = \"one\n  two \\\n  three\";\n").code_lines(), 3);
        assert_eq!(Source::new("let a = r\"one\n\n  three\";\n").code_lines(), 2);
    }

    #[test]
    fn lifetimes_are_not_character_literals() {
        let source = Source::new(
            "fn f<'a>(x: &'a str) -> char { if c == '\\'' { '{' } else { '\\u{7f}' } }\nfn g() {}\n",
        );
        assert_eq!(source.tokens.iter().filter(|token| token.text == "{").count(), 4);
        assert!(source.tokens.iter().any(|token| token.text == "g"));
    }

    #[test]
    fn raw_identifiers_are_code() {
        assert_eq!(paths("use a::r#type;"), ["a::r"]);
        assert!(Source::new("let r#fn = 1; let z = 2;").tokens.iter().any(|token| token.text == "z"));
    }

    #[test]
    fn paths_are_found_in_expressions_and_in_nested_groups() {
        assert_eq!(paths("let x = crate::rt::now();"), ["crate::rt::now"]);
        assert_eq!(
            paths("use tokio::{\n  spawn,\n  time::{self, sleep as nap},\n  sync::*,\n};"),
            ["tokio::spawn", "tokio::time", "tokio::time::sleep", "tokio::sync::*"]
        );
        assert_eq!(paths("use ::tokio::spawn; let v = Vec::<u8>::new();"), ["tokio::spawn"]);
        assert_eq!(paths("<T as Shape>::Out::x; match a::B { _ => {} }"), ["a::B"]);
    }

    #[test]
    fn a_path_in_a_group_is_reported_on_its_own_line_with_its_alias() {
        let source = Source::new("use a::{\n  b,\n  c as d,\n};");
        let found: Vec<_> = source.paths().into_iter().map(|path| (path.line, path.alias)).collect();
        assert_eq!(found, [(1, None), (2, Some("d".to_owned()))]);
    }

    #[test]
    fn text_that_is_not_rust_does_not_hang_or_panic() {
        for text in [
            "use a::{",
            "#[cfg(test)]",
            "'",
            "r#\"",
            "\"\\",
            "/* /*",
            "a::{b,,{}",
            "}}}",
            "#[cfg(test)] fn f(",
        ] {
            let source = Source::new(text);
            let _ = (source.code_lines(), source.paths());
        }
    }

    #[test]
    fn a_word_is_matched_whole() {
        assert!(has_word("// see ABC: later", "ABC"));
        assert!(!has_word("// see ABCD and xABC", "ABC"));
    }
}
