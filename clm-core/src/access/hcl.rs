//! HCL 1, the language of policies.
//!
//! A reader of our own, because what clients write is HCL 1 while the crates read HCL 2, which refuses quoted attribute names
//! (`"capabilities" = […]`), several attributes or blocks on one line, and reads `${…}` in a path as a template.

use super::document::Node;
use serde_json::Number;

/// Where the text stops being HCL, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) fault: String,
}

/// Nothing in a policy is nested deeper than a handful; a bound keeps the stack.
const DEPTH: usize = 32;

/// The file as one object.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut parser = Parser { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1, depth: 0 };
    let members = parser.members(None)?;
    Ok(Node::Object(members))
}

struct Parser<'t> {
    rest: &'t str,
    line: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    /// `key … = value`, `key … { … }`, with or without commas or line ends between, up to `end`.
    fn members(&mut self, end: Option<char>) -> Result<Vec<(String, Node)>, SyntaxError> {
        let mut members = Vec::new();
        loop {
            self.skip()?;
            match self.peek() {
                None if end.is_none() => return Ok(members),
                None => return self.fault("the text ends inside a block: a closing `}` is missing"),
                character if character == end => {
                    self.advance(1);
                    return Ok(members);
                }
                Some(',') if !members.is_empty() => self.advance(1),
                Some(_) => members.push(self.member()?),
            }
        }
    }

    fn member(&mut self) -> Result<(String, Node), SyntaxError> {
        let mut keys = vec![self.key()?];
        loop {
            self.skip()?;
            match self.peek() {
                Some('=') => {
                    self.advance(1);
                    self.skip()?;
                    let value = self.value()?;
                    return Ok(nest(keys, value));
                }
                Some('{') => {
                    let value = self.value()?;
                    return Ok(nest(keys, value));
                }
                // Each key is a level of nesting as well.
                Some(_) if self.depth + keys.len() >= DEPTH => return self.fault("nested too deep"),
                Some(_) => {
                    let key = self.key()?;
                    keys.push(key);
                }
                None => return self.fault("the text ends after a key: `=` or `{` is missing"),
            }
        }
    }

    fn key(&mut self) -> Result<String, SyntaxError> {
        if self.peek() == Some('"') {
            return self.quoted();
        }
        let word = self.word();
        if word.is_empty() {
            let found = self.peek().unwrap_or(' ');
            return self.fault(&format!("unexpected `{found}` where a key or a block should begin"));
        }
        Ok(word.to_owned())
    }

    fn value(&mut self) -> Result<Node, SyntaxError> {
        if self.depth == DEPTH {
            return self.fault("nested too deep");
        }
        match self.peek() {
            Some('"') => self.quoted().map(Node::Text),
            Some('<') => self.heredoc().map(Node::Text),
            Some('{') => {
                self.advance(1);
                self.depth += 1;
                let members = self.members(Some('}'))?;
                self.depth -= 1;
                Ok(Node::Object(members))
            }
            Some('[') => {
                self.advance(1);
                self.depth += 1;
                let items = self.list()?;
                self.depth -= 1;
                Ok(Node::List(items))
            }
            _ => self.literal(),
        }
    }

    fn list(&mut self) -> Result<Vec<Node>, SyntaxError> {
        let mut items = Vec::new();
        let mut separated = true;
        loop {
            self.skip()?;
            match self.peek() {
                None => return self.fault("the text ends inside a list: a closing `]` is missing"),
                Some(']') => {
                    self.advance(1);
                    return Ok(items);
                }
                Some(',') if !separated => {
                    self.advance(1);
                    separated = true;
                }
                Some(_) if separated => {
                    items.push(self.value()?);
                    separated = false;
                }
                Some(_) => return self.fault("a comma is missing between the items of a list"),
            }
        }
    }

    fn literal(&mut self) -> Result<Node, SyntaxError> {
        let length = self
            .rest
            .find(|character: char| !(character.is_alphanumeric() || matches!(character, '_' | '-' | '.' | '+')))
            .unwrap_or(self.rest.len());
        let word = &self.rest[..length];
        let node = match word {
            "true" => Node::Bool(true),
            "false" => Node::Bool(false),
            _ => match number(word) {
                Some(number) => Node::Number(number),
                None if word.is_empty() => return self.fault("a value is missing"),
                None => return self.fault(&format!("`{word}` is no value; text needs quotes")),
            },
        };
        self.advance(length);
        Ok(node)
    }

    fn word(&mut self) -> &'t str {
        let length = self
            .rest
            .find(|character: char| !(character.is_alphanumeric() || matches!(character, '_' | '-' | '.')))
            .unwrap_or(self.rest.len());
        let word = &self.rest[..length];
        self.advance(length);
        word
    }

    /// A quoted text; quotes inside `${…}` do not end it.
    fn quoted(&mut self) -> Result<String, SyntaxError> {
        let mut text = String::new();
        let mut braces = 0_usize;
        let mut characters = self.rest.char_indices().skip(1).peekable();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' if braces == 0 => {
                    self.advance(at + 1);
                    return Ok(text);
                }
                '\n' if braces == 0 => break,
                '$' if braces == 0 && characters.peek().is_some_and(|(_, next)| *next == '{') => {
                    text.push_str("${");
                    characters.next();
                    braces = 1;
                    continue;
                }
                '{' if braces > 0 => braces += 1,
                '}' if braces > 0 => braces -= 1,
                '\\' if braces == 0 => {
                    let Some(escaped) = escape(&mut characters) else { return self.fault("unknown escape in a text") };
                    text.push(escaped);
                    continue;
                }
                _ => {}
            }
            text.push(character);
        }
        self.fault("a text is not closed: a `\"` is missing")
    }

    /// `<<END` … `END`, `<<-END` with common indentation taken away.
    fn heredoc(&mut self) -> Result<String, SyntaxError> {
        let Some(after) = self.rest.strip_prefix("<<") else { return self.fault("unexpected `<`") };
        let (indented, after) = after.strip_prefix('-').map_or((false, after), |after| (true, after));
        let Some((marker, body)) = after.split_once('\n') else { return self.fault("a heredoc has no text") };
        let marker = marker.trim_end_matches('\r');
        if marker.is_empty() || !marker.chars().all(|character| character.is_alphanumeric() || character == '_') {
            return self.fault("a heredoc needs a marker");
        }
        let mut lines = Vec::new();
        let mut offset = self.rest.len() - body.len();
        for line in body.split_inclusive('\n') {
            if line.trim() == marker {
                self.advance(offset + line.trim_end_matches(['\n', '\r']).len());
                return Ok(if indented { unindent(&lines) } else { lines.concat() });
            }
            lines.push(line);
            offset += line.len();
        }
        self.fault(&format!("a heredoc is not closed: `{marker}` is missing"))
    }

    /// Over blanks and comments.
    fn skip(&mut self) -> Result<(), SyntaxError> {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.advance(blank);
            if self.rest.starts_with('#') || self.rest.starts_with("//") {
                let length = self.rest.find('\n').unwrap_or(self.rest.len());
                self.advance(length);
            } else if self.rest.starts_with("/*") {
                let Some(length) = self.rest.find("*/") else {
                    return self.fault("a comment is not closed: `*/` is missing");
                };
                self.advance(length + 2);
            } else {
                return Ok(());
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn advance(&mut self, bytes: usize) {
        self.line += self.rest[..bytes].bytes().filter(|byte| *byte == b'\n').count();
        self.rest = &self.rest[bytes..];
    }

    fn fault<T>(&self, fault: &str) -> Result<T, SyntaxError> {
        Err(SyntaxError { line: self.line, fault: fault.to_owned() })
    }
}

/// `a "b" { … }` is `a = { b = { … } }`.
fn nest(keys: Vec<String>, value: Node) -> (String, Node) {
    let mut keys = keys.into_iter().rev();
    let mut member = (keys.next().unwrap_or_default(), value);
    for key in keys {
        member = (key, Node::Object(vec![member]));
    }
    member
}

fn number(word: &str) -> Option<Number> {
    if !word.starts_with(|first: char| first.is_ascii_digit() || first == '-') {
        return None;
    }
    if let Ok(integer) = word.parse::<i64>() {
        return Some(integer.into());
    }
    if let Some(digits) = word.strip_prefix("0x") {
        return i64::from_str_radix(digits, 16).ok().map(Number::from);
    }
    word.parse::<f64>().ok().and_then(Number::from_f64)
}

fn escape(characters: &mut impl Iterator<Item = (usize, char)>) -> Option<char> {
    let (_, kind) = characters.next()?;
    let mut hexadecimal = |digits: usize| {
        let text: String = characters.by_ref().take(digits).map(|(_, character)| character).collect();
        u32::from_str_radix(&text, 16).ok().filter(|_| text.len() == digits).and_then(char::from_u32)
    };
    match kind {
        'n' => Some('\n'),
        't' => Some('\t'),
        'r' => Some('\r'),
        'a' => Some('\u{7}'),
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'v' => Some('\u{b}'),
        '\\' | '"' => Some(kind),
        'x' => hexadecimal(2),
        'u' => hexadecimal(4),
        'U' => hexadecimal(8),
        _ => None,
    }
}

fn unindent(lines: &[&str]) -> String {
    let indentation = lines
        .iter()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    lines.iter().map(|line| line.get(indentation..).unwrap_or("\n")).collect()
}
