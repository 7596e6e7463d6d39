//! The chunks of a list's body → its items one by one, and what is left of the list without them.
//!
//! A page of 500 EndpointSlices can be 20 MB, and a server that serves a list from its cache may ignore the limit
//! and send all of it at once (before Kubernetes 1.31). So a page is never held: only the item that is
//! being read, and the few bytes around the items. Looks at brackets and strings alone; whether an item is
//! JSON is its reader's business.

/// Cuts the body of a list into its items.
#[derive(Debug)]
pub(super) struct Items {
    longest: usize,
    /// The item that is being read.
    item: Vec<u8>,
    /// The list without its items, as JSON.
    rest: Vec<u8>,
    depth: usize,
    /// Inside of `items`, whose members are at depth two.
    inside: bool,
    string: Text,
    /// The last string at depth one: a key, if a colon follows.
    last: Vec<u8>,
    /// The item is longer than it may be: its rest is skipped.
    skipping: bool,
    begun: bool,
}

/// Where in a string the scanner is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Text {
    Outside,
    Inside,
    Escaped,
}

/// What ends the reading of a list.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum NoList {
    /// It does not begin as a JSON object does.
    NoObject,
    /// Around its items there is more than there may be.
    TooLong,
}

/// An item, or what is left of one.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Item<'a> {
    /// The text of a whole item.
    Whole(&'a [u8]),
    /// One that was longer than it may be.
    TooLong,
}

impl Items {
    /// Items of at most `longest` bytes; as much is allowed around them.
    pub(super) const fn new(longest: usize) -> Self {
        Self {
            longest,
            item: Vec::new(),
            rest: Vec::new(),
            depth: 0,
            inside: false,
            string: Text::Outside,
            last: Vec::new(),
            skipping: false,
            begun: false,
        }
    }

    /// The items that end in a chunk.
    pub(super) fn feed(&mut self, chunk: &[u8], mut item: impl FnMut(Item<'_>)) -> Result<(), NoList> {
        for &byte in chunk {
            if !self.begun {
                match byte {
                    b'{' => self.begun = true,
                    _ if byte.is_ascii_whitespace() => continue,
                    _ => return Err(NoList::NoObject),
                }
            }
            self.take(byte, &mut item)?;
        }
        Ok(())
    }

    /// The list without its items, once all of it was fed; `None` where it was cut off.
    pub(super) fn rest(&self) -> Option<&[u8]> {
        (self.begun && self.depth == 0).then_some(&self.rest)
    }

    fn take(&mut self, byte: u8, item: &mut impl FnMut(Item<'_>)) -> Result<(), NoList> {
        let in_item = self.inside && (self.depth > 2 || self.depth == 2 && !matches!(byte, b',' | b']'));
        let top = self.depth == 1 && !self.inside;
        match (self.string, byte) {
            (Text::Inside, b'\\') => self.string = Text::Escaped,
            (Text::Inside, b'"') => self.string = Text::Outside,
            (Text::Inside, _) if top => self.last.push(byte),
            (Text::Inside, _) => {}
            (Text::Escaped, _) => self.string = Text::Inside,
            (Text::Outside, b'"') => {
                self.string = Text::Inside;
                if top {
                    self.last.clear();
                }
            }
            (Text::Outside, b'{' | b'[') => {
                self.inside |= top && byte == b'[' && self.last == b"items";
                self.depth += 1;
                if self.inside && self.depth == 2 && top {
                    return self.keep(byte);
                }
            }
            (Text::Outside, b'}' | b']') => {
                if self.inside && self.depth == 2 {
                    self.end_item(item);
                    self.inside = false;
                }
                self.depth = self.depth.saturating_sub(1);
            }
            (Text::Outside, b',') if self.inside && self.depth == 2 => {
                self.end_item(item);
                return Ok(());
            }
            (Text::Outside, _) => {}
        }
        if !in_item {
            return self.keep(byte);
        }
        if self.item.len() >= self.longest {
            (self.item, self.skipping) = (Vec::new(), true);
        }
        if !self.skipping {
            self.item.push(byte);
        }
        Ok(())
    }

    fn keep(&mut self, byte: u8) -> Result<(), NoList> {
        if self.rest.len() >= self.longest || self.last.len() >= self.longest {
            return Err(NoList::TooLong);
        }
        self.rest.push(byte);
        Ok(())
    }

    fn end_item(&mut self, item: &mut impl FnMut(Item<'_>)) {
        if self.skipping {
            item(Item::TooLong);
        } else if !self.item.trim_ascii().is_empty() {
            item(Item::Whole(self.item.trim_ascii()));
        }
        self.item.clear();
        self.skipping = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn cut(text: &str, size: usize, longest: usize) -> (Vec<String>, Option<String>) {
        let (mut items, mut found) = (Items::new(longest), Vec::new());
        for chunk in text.as_bytes().chunks(size) {
            let taken = items.feed(chunk, |item| {
                found.push(match item {
                    Item::Whole(text) => String::from_utf8(text.to_vec()).unwrap(),
                    Item::TooLong => "too long".into(),
                });
            });
            taken.unwrap();
        }
        (found, items.rest().map(|rest| String::from_utf8(rest.to_vec()).unwrap()))
    }

    #[test]
    fn items_and_the_rest() {
        let text =
            r#" {"kind":"L","items": [ {"a":[1,"]}"]} , {"b":"\"},{"}, 3 ],"metadata":{"items":[1]}} "#;
        for size in [1, 2, 7, 100] {
            let (items, rest) = cut(text, size, 99);
            assert_eq!(items, [r#"{"a":[1,"]}"]}"#, r#"{"b":"\"},{"}"#, "3"]);
            let rest: Value = serde_json::from_str(&rest.unwrap()).unwrap();
            assert_eq!(rest, json!({"kind": "L", "items": [], "metadata": {"items": [1]}}));
        }
    }

    #[test]
    fn an_item_that_is_too_long_costs_itself_alone() {
        let text = r#"{"items":[{"a":1},{"b":"0123456789012345"},{"c":3}]}"#;
        assert_eq!(cut(text, 5, 16).0, [r#"{"a":1}"#, "too long", r#"{"c":3}"#]);
    }

    #[test]
    fn what_is_no_list_is_found_out() {
        let feed = |text: &str, longest| Items::new(longest).feed(text.as_bytes(), |_| {});
        assert_eq!(feed("<html>", 99), Err(NoList::NoObject));
        assert_eq!(feed("[1]", 99), Err(NoList::NoObject));
        assert_eq!(feed(&format!("{{\"kind\":\"{}\"}}", "x".repeat(99)), 50), Err(NoList::TooLong));
        for cut_off in ["", "  ", "{", r#"{"items":["#, r#"{"items":[{"a":1}"#, r#"{"items":[{"a":1}]"#] {
            assert_eq!(cut(cut_off, 9, 99).1, None, "{cut_off}");
        }
        assert_eq!(cut(r#"{"items":null}"#, 9, 99), (vec![], Some(r#"{"items":null}"#.into())));
    }

    proptest! {
        #[test]
        fn any_list_is_cut_as_a_json_parser_would(
            values in prop::collection::vec(("[a-z\\[\\]{}\",: \\\\é]{0,8}", -9_i32..9), 0..6),
            size in 1_usize..40,
        ) {
            let values: Vec<Value> =
                values.into_iter().map(|(text, number)| json!({text.clone(): [number, text]})).collect();
            let list = json!({"apiVersion": "v1", "items": values, "metadata": {"continue": "["}});
            let (items, rest) = cut(&list.to_string(), size, 1_000);
            let items: Vec<Value> = items.iter().map(|item| serde_json::from_str(item).unwrap()).collect();
            prop_assert_eq!(items, values);
            let rest: Value = serde_json::from_str(&rest.unwrap()).unwrap();
            prop_assert_eq!(&rest["metadata"], &list["metadata"]);
        }
    }
}
