//! The text of a configuration, as nginx takes it apart: directives, and the blocks behind them.

use std::rc::Rc;

/// One directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Its name, and its arguments without their quotes.
    pub words: Vec<String>,
    /// The file that it is in.
    pub file: Rc<str>,
    /// The line that it begins in.
    pub line: usize,
    /// What stands in its block.
    pub block: Vec<Directive>,
}

impl Directive {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Its arguments.
    #[must_use]
    pub fn args(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }
}

/// Where the text of included files comes from.
pub trait Files {
    /// The files that a pattern names, each with its path and its text.
    fn include(&mut self, pattern: &str) -> Vec<(String, String)>;
}

/// How deep files include others at most.
const MAX_DEPTH: usize = 16;

/// Reads `text`, which nginx has found to be right; of one that isn't, as much as can be understood.
#[must_use]
pub fn read(text: &str, file: &str, files: &mut dyn Files) -> Vec<Directive> {
    read_at(text, file, files, 0)
}

fn read_at(text: &str, file: &str, files: &mut dyn Files, depth: usize) -> Vec<Directive> {
    let mut reader = Reader { chars: text.chars().peekable(), line: 1 };
    let file: Rc<str> = file.into();
    // The blocks around, each with the directive that it belongs to.
    let mut around: Vec<(Directive, Vec<Directive>)> = Vec::new();
    let mut here = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut line = 1;
    let directive = |words: &mut Vec<String>, line| Directive {
        words: std::mem::take(words),
        file: Rc::clone(&file),
        line,
        block: Vec::new(),
    };
    while let Some((token, at)) = reader.next_token() {
        match token {
            Token::Word(word) => {
                if words.is_empty() {
                    line = at;
                }
                words.push(word);
            }
            Token::End => {
                let found = directive(&mut words, line);
                match (found.name(), found.args()) {
                    ("include", [pattern]) if depth < MAX_DEPTH => {
                        for (path, text) in files.include(pattern) {
                            here.extend(read_at(&text, &path, files, depth.saturating_add(1)));
                        }
                    }
                    _ => here.push(found),
                }
            }
            Token::Open => {
                let found = directive(&mut words, line);
                if found.name().ends_with("_by_lua_block") {
                    reader.skip_block();
                    here.push(found);
                } else {
                    around.push((found, std::mem::take(&mut here)));
                }
            }
            Token::Close => {
                words.clear();
                if let Some((mut block, outside)) = around.pop() {
                    block.block = std::mem::replace(&mut here, outside);
                    here.push(block);
                }
            }
        }
    }
    while let Some((mut block, outside)) = around.pop() {
        block.block = std::mem::replace(&mut here, outside);
        here.push(block);
    }
    here
}

enum Token {
    Word(String),
    /// `;`
    End,
    /// `{`
    Open,
    /// `}`
    Close,
}

struct Reader<'t> {
    chars: std::iter::Peekable<std::str::Chars<'t>>,
    line: usize,
}

impl Reader<'_> {
    fn next_char(&mut self) -> Option<char> {
        let next = self.chars.next()?;
        if next == '\n' {
            self.line = self.line.saturating_add(1);
        }
        Some(next)
    }

    /// The next token, and the line that it begins in.
    fn next_token(&mut self) -> Option<(Token, usize)> {
        loop {
            let first = self.next_char()?;
            let line = self.line;
            let token = match first {
                ' ' | '\t' | '\r' | '\n' => continue,
                '#' => {
                    while self.next_char().is_some_and(|c| c != '\n') {}
                    continue;
                }
                ';' => Token::End,
                '{' => Token::Open,
                '}' => Token::Close,
                '"' | '\'' => Token::Word(self.quoted(first)),
                _ => Token::Word(self.bare(first)),
            };
            return Some((token, line));
        }
    }

    fn quoted(&mut self, quote: char) -> String {
        let mut word = String::new();
        while let Some(next) = self.next_char() {
            match next {
                _ if next == quote => break,
                '\\' => self.escaped(&mut word),
                _ => word.push(next),
            }
        }
        word
    }

    fn bare(&mut self, first: char) -> String {
        let mut word = String::new();
        if first == '\\' {
            self.escaped(&mut word);
        } else {
            word.push(first);
        }
        while let Some(next) = self.chars.peek().copied() {
            // The brace of "${name}" is part of a word.
            let is_end = matches!(next, ' ' | '\t' | '\r' | '\n' | ';')
                || (next == '{' && !word.ends_with('$'));
            if is_end {
                break;
            }
            self.next_char();
            match next {
                '\\' => self.escaped(&mut word),
                _ => word.push(next),
            }
        }
        word
    }

    fn escaped(&mut self, word: &mut String) {
        match self.next_char() {
            Some(c @ ('"' | '\'' | '\\')) => word.push(c),
            Some('t') => word.push('\t'),
            Some('r') => word.push('\r'),
            Some('n') => word.push('\n'),
            Some(other) => word.extend(['\\', other]),
            None => word.push('\\'),
        }
    }

    /// Code of another language: up to the brace that closes it.
    fn skip_block(&mut self) {
        let mut open: usize = 1;
        while open > 0 {
            match self.next_char() {
                Some('{') => open = open.saturating_add(1),
                Some('}') => open = open.saturating_sub(1),
                Some(_) => {}
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Included;

    impl Files for Included {
        fn include(&mut self, pattern: &str) -> Vec<(String, String)> {
            match pattern {
                "loop.conf" => vec![("loop.conf".into(), "a; include loop.conf;".into())],
                "b*.conf" => vec![
                    ("b1.conf".into(), "b 1;\nb 1.5;".into()),
                    ("b2.conf".into(), "b 2;".into()),
                ],
                _ => Vec::new(),
            }
        }
    }

    /// Blocks in brackets, with lines.
    fn shown(directives: &[Directive]) -> String {
        let one = |directive: &Directive| {
            let block = match directive.block.is_empty() {
                true => String::new(),
                false => format!("[{}]", shown(&directive.block)),
            };
            format!("{}:{}{block}", directive.line, directive.words.join("|"))
        };
        directives.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn read_shown(text: &str) -> String {
        shown(&read(text, "test", &mut Included))
    }

    #[test]
    fn a_configuration_is_taken_apart_as_by_nginx() {
        for (text, expected) in [
            ("", ""),
            ("a;", "1:a"),
            ("a b  c ;\n\nd;", "1:a|b|c 3:d"),
            ("# a;\nb; # c;\n", "2:b"),
            ("a#b;", "1:a#b"),
            ("a \"b c;{}\" 'd';", "1:a|b c;{}|d"),
            ("a \"\\\"b\\\\\" \\d;", "1:a|\"b\\|\\d"),
            ("a ${b}c;", "1:a|${b}c"),
            ("a { b; c { d; } } e;", "1:a[1:b 1:c[1:d]] 1:e"),
            ("if ($a = \"}\" ) { b; }", "1:if|($a|=|}|)[1:b]"),
            ("a{b;}", "1:a[1:b]"),
            ("a\nb;\nc;", "1:a|b 3:c"),
            ("content_by_lua_block { x = { 1 } ; } a;", "1:content_by_lua_block 1:a"),
            ("a { b;", "1:a[1:b]"),
            ("} a;", "1:a"),
            ("include b*.conf; c;", "1:b|1 2:b|1.5 1:b|2 1:c"),
        ] {
            assert_eq!(read_shown(text), expected, "{text}");
        }
    }

    #[test]
    fn files_that_include_themselves_come_to_an_end() {
        assert!(read("include loop.conf;", "test", &mut Included).len() <= MAX_DEPTH + 1);
    }

    #[test]
    fn a_directive_knows_its_file() {
        let read = read("a; include b*.conf;", "test", &mut Included);
        let files: Vec<_> = read.iter().map(|directive| &*directive.file).collect();
        assert_eq!(files, ["test", "b1.conf", "b1.conf", "b2.conf"]);
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "[a{};\"'\\\\$#\n ]{0,60}") {
            let _ = read_shown(&text);
        }
    }
}
