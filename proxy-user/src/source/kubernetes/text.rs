//! Names of objects, and texts of objects that are shown to a user.

/// What [`is_dns_name`] asks for.
pub(in crate::source) const NAME_RULE: &str = "is not a name of lower-case letters, digits, '-' and '.'";

/// The form of a DNS subdomain, which all our kinds' names have.
pub(in crate::source) fn is_dns_name(text: &str) -> bool {
    let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    text.len() <= 253
        && text.bytes().all(inner)
        && end(text.as_bytes().first())
        && end(text.as_bytes().last())
}

/// The text with its control characters escaped: whatever an object holds, what is said of it is one line
/// of a log and moves no terminal's cursor.
pub(in crate::source) fn printable(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let escape = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["web", "0", "a.b-c", &"n".repeat(253)] {
            assert!(is_dns_name(good), "{good}");
        }
        for bad in ["", "Web", "a/b", "a\nb", " web", "-a", "a.", "é", &"n".repeat(254)] {
            assert!(!is_dns_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_printable_text_is_one_line() {
        let table = [
            ("spec.port", "spec.port"),
            ("é \"x\"", "é \"x\""),
            ("a\tb\n\u{1b}[2J\u{85}", "a\\tb\\n\\u{1b}[2J\\u{85}"),
        ];
        for (text, expected) in table {
            assert_eq!(printable(text.into()), expected);
        }
    }
}
