//! The words of a configuration, as nginx reads them.

/// A word of a configuration, or what ends a directive, or begins or ends a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A word, without its quotes and escapes.
    Word(String),
    /// `;`
    End,
    /// `{`
    Open,
    /// `}`
    Close,
}

/// The words and marks of a configuration, with their lines, counted from 1. Of a block of Lua only the braces
/// are there.
///
/// # Errors
///
/// The line where a quote, an escape or a block of Lua begins that doesn't end.
pub fn tokens(text: &str) -> Result<Vec<(usize, Token)>, usize> {
    let mut tokens: Vec<(usize, Token)> = Vec::new();
    let mut line = 1;
    let mut chars = text.chars().peekable();
    // Whether the directive that is being read has a program in its braces.
    let mut is_first = true;
    let mut is_lua = false;
    while let Some(c) = chars.next() {
        match c {
            '\n' => line += 1,
            c if c.is_whitespace() => {}
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            ';' => {
                tokens.push((line, Token::End));
                (is_first, is_lua) = (true, false);
            }
            '{' => {
                tokens.push((line, Token::Open));
                if is_lua {
                    let start = line;
                    let rest: String = chars.clone().collect();
                    let body = lua_body(&rest).ok_or(start)?;
                    for c in chars.by_ref().take(body) {
                        line += usize::from(c == '\n');
                    }
                    tokens.push((line, Token::Close));
                }
                (is_first, is_lua) = (true, false);
            }
            '}' => {
                tokens.push((line, Token::Close));
                (is_first, is_lua) = (true, false);
            }
            quote @ ('"' | '\'') => {
                let start = line;
                let mut word = String::new();
                loop {
                    match chars.next().ok_or(start)? {
                        c if c == quote => break,
                        '\\' => {
                            let next = chars.next().ok_or(start)?;
                            line += usize::from(next == '\n');
                            escaped(&mut word, next);
                        }
                        c => {
                            line += usize::from(c == '\n');
                            word.push(c);
                        }
                    }
                }
                tokens.push((start, Token::Word(word)));
                is_first = false;
            }
            c => {
                let start = line;
                let mut word = String::new();
                let mut next = Some(c);
                // A brace behind a dollar is that of `${name}`; one that closes is as any other
                // character here.
                let mut is_variable;
                while let Some(c) = next {
                    if c == '\\' {
                        let escapee = chars.next().ok_or(line)?;
                        line += usize::from(escapee == '\n');
                        escaped(&mut word, escapee);
                    } else {
                        word.push(c);
                    }
                    is_variable = c == '$';
                    next = chars.next_if(|c| {
                        !(c.is_whitespace() || *c == ';' || (*c == '{' && !is_variable))
                    });
                }
                is_lua |= is_first && word.ends_with("_by_lua_block");
                is_first = false;
                tokens.push((start, Token::Word(word)));
            }
        }
    }
    Ok(tokens)
}

/// As nginx reads a backslash: before quotes and itself it goes, before some letters it means a control
/// character, else it stays.
fn escaped(word: &mut String, c: char) {
    match c {
        't' => word.push('\t'),
        'r' => word.push('\r'),
        'n' => word.push('\n'),
        '"' | '\'' | '\\' => word.push(c),
        c => word.extend(['\\', c]),
    }
}

/// How many characters a block of Lua has, with the brace at its end. Braces in its texts and comments don't
/// count. `None`: it doesn't end.
fn lua_body(text: &str) -> Option<usize> {
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    let mut depth = 1usize;
    while let Some(c) = chars.get(at) {
        at += 1;
        match c {
            '{' => depth += 1,
            '}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            quote @ ('"' | '\'') => loop {
                let c = chars.get(at)?;
                at += if *c == '\\' { 2 } else { 1 };
                if c == quote {
                    break;
                }
            },
            '-' if chars.get(at) == Some(&'-') => {
                at += 1;
                match chars.get(at).filter(|c| **c == '[').and_then(|_| long(&chars, at)) {
                    Some(end) => at = end?,
                    None => {
                        while chars.get(at).is_some_and(|c| *c != '\n') {
                            at += 1;
                        }
                    }
                }
            }
            '[' => {
                if let Some(end) = long(&chars, at - 1) {
                    at = end?;
                }
            }
            _ => {}
        }
    }
    None
}

/// Where what begins with `[[` or `[=[` ends. The outer `None`: nothing begins here so; the inner one: it doesn't
/// end.
fn long(chars: &[char], start: usize) -> Option<Option<usize>> {
    let level = chars.iter().skip(start + 1).take_while(|c| **c == '=').count();
    let body = start + 1 + level;
    if chars.get(body) != Some(&'[') {
        return None;
    }
    let mut at = body + 1;
    while let Some(c) = chars.get(at) {
        at += 1;
        if *c == ']'
            && chars.iter().skip(at).take_while(|c| **c == '=').count() == level
            && chars.get(at + level) == Some(&']')
        {
            return Some(Some(at + level + 1));
        }
    }
    Some(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<String> {
        let tokens = tokens(text).unwrap();
        let shown = tokens.into_iter().map(|(_, token)| match token {
            Token::Word(word) => word,
            Token::End => ";".to_owned(),
            Token::Open => "{".to_owned(),
            Token::Close => "}".to_owned(),
        });
        shown.collect()
    }

    #[test]
    fn quotes_escapes_and_comments_are_those_of_nginx() {
        assert_eq!(
            words("a \"b ; { # c\" 'd\\'e';# f ;\ng;"),
            ["a", "b ; { # c", "d'e", ";", "g", ";"]
        );
        assert_eq!(words("a b\\;c \\\"d x#y;"), ["a", "b\\;c", "\"d", "x#y", ";"]);
        assert_eq!(words("a ${b}c $d{e}"), ["a", "${b}c", "$d", "{", "e}"]);
        assert_eq!(
            words("if ($a = \"}\") { b; }"),
            ["if", "($a", "=", "}", ")", "{", "b", ";", "}"]
        );
        assert_eq!(words("a \"\" '';"), ["a", "", "", ";"]);
    }

    #[test]
    fn lines_are_those_where_a_word_begins() {
        let tokens = tokens("a\n  \"b\nc\"\nd;").unwrap();
        let lines: Vec<usize> = tokens.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 2, 4, 4]);
    }

    #[test]
    fn what_does_not_end_is_an_error() {
        assert_eq!(tokens("a;\n\"b"), Err(2));
        assert_eq!(tokens("a \\"), Err(1));
        assert_eq!(tokens("\ncontent_by_lua_block { '"), Err(2));
        assert_eq!(tokens("content_by_lua_block { [[ } ]"), Err(1));
    }

    #[test]
    fn lua_is_left_out_whatever_is_in_it() {
        for body in [
            "ngx.say('}')",
            "ngx.say(\"\\\"}\")",
            "-- } \"\n",
            "--[[ } ]] x = {}",
            "--[==[ ]] } ]==]",
            "x = [=[ } ]] ]=] y = { { } }",
            "local a = b[1] if a then return end",
            "x = #t; y = 'a;b'",
        ] {
            let text = format!("location / {{ access_by_lua_block {{{body}}} b c; }}");
            assert_eq!(
                words(&text),
                ["location", "/", "{", "access_by_lua_block", "{", "}", "b", "c", ";", "}"],
                "{body}"
            );
        }
        // With an argument before the brace.
        assert_eq!(
            words("set_by_lua_block $a { return '}' } b;"),
            ["set_by_lua_block", "$a", "{", "}", "b", ";"]
        );
        // Only as a name it means Lua.
        assert_eq!(words("a x_by_lua_block { b; }"), ["a", "x_by_lua_block", "{", "b", ";", "}"]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = tokens(&text);
        }

        #[test]
        fn any_word_in_quotes_is_one_word(word in "[^\\\\\"]{0,20}") {
            prop_assert_eq!(words(&format!("a \"{word}\";")), ["a", word.as_str(), ";"]);
        }
    }
}
