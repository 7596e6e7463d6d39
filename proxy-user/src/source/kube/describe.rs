//! Words for what nobody expected.

/// The beginning of a text that nobody expected.
pub(super) fn excerpt(text: &[u8]) -> String {
    const LENGTH: usize = 120;
    let cut = &text[..text.len().min(LENGTH)];
    let dots = if text.len() > LENGTH { "…" } else { "" };
    format!("{}{dots}", String::from_utf8_lossy(cut).trim())
}

/// What went wrong on the way to the server or back.
pub(super) fn describe(error: &kube::Error) -> String {
    match error {
        kube::Error::Service(error) => chain(&**error),
        error => chain(error),
    }
}

/// An error with its causes, which name what really happened.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_anything() {
        assert_eq!(excerpt(b" <html> \n"), "<html>");
        assert_eq!(excerpt(&[0xff]), "\u{fffd}");
        assert_eq!(excerpt(&[b'x'; 500]), format!("{}…", "x".repeat(120)));
    }

    #[test]
    fn causes_are_told_once() {
        let cause = std::io::Error::other("the cable");
        let error = kube::Error::Service(Box::new(std::io::Error::other(cause)));
        assert_eq!(describe(&error), "the cable");
    }
}
