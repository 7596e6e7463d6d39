//! What a watch has sent while the agent was busy: of each object the last frame. Those before it need not be decoded,
//! since none of them says what is so now; so an object that changes all the time takes as long as one that changed
//! once, and no other has to wait behind its past.

use super::lines::Line;
use ahash::AHashMap;

/// So much is read at once …
const READ: usize = 8 << 20;
/// … and so much of it is kept at most, bytes.
const KEPT: usize = 2 << 20;

/// Frames in the order in which the last of each object came. A resource version that is noted after one of them is that
/// of the last frame that was heeded: should the watch break then, it goes on with what was not.
#[derive(Debug)]
pub(super) struct Ahead {
    /// False in a list that streams: what it names before its end is what is there, and the change of an object that
    /// follows behind its end, in the same piece, must not take its place among them.
    supersedes: bool,
    frames: Vec<Held>,
    /// By object, the place of its frame.
    last: AHashMap<Box<[u8]>, usize>,
    read: usize,
    kept: usize,
}

#[derive(Debug)]
enum Held {
    Frame(Vec<u8>),
    TooLong,
    Superseded,
}

impl Ahead {
    /// Nothing has come yet; `is_watching`: the list is behind it.
    pub(super) fn new(is_watching: bool) -> Self {
        Self { supersedes: is_watching, frames: Vec::new(), last: AHashMap::new(), read: 0, kept: 0 }
    }

    /// Whether more may be read before what is there is heeded.
    pub(super) const fn has_room(&self) -> bool {
        self.read < READ && self.kept < KEPT
    }

    /// Takes a line in.
    pub(super) fn push(&mut self, line: Line<'_>) {
        let line = match line {
            Line::Whole(line) => line,
            Line::TooLong => return self.frames.push(Held::TooLong),
        };
        (self.read, self.kept) = (self.read + line.len(), self.kept + line.len());
        if let Some(object) = object(line).filter(|_| self.supersedes) {
            let place = self.frames.len();
            if let Some(known) = self.last.get_mut(object) {
                let former = std::mem::replace(known, place);
                if let Held::Frame(former) = std::mem::replace(&mut self.frames[former], Held::Superseded) {
                    self.kept -= former.len();
                }
            } else {
                self.last.insert(object.into(), place);
            }
        }
        self.frames.push(Held::Frame(line.to_vec()));
    }

    /// Gives the lines that are left; `line` ends it by an error, which is handed on.
    pub(super) fn each<E>(self, mut line: impl FnMut(Line<'_>) -> Result<(), E>) -> Result<(), E> {
        self.frames.iter().try_for_each(|held| match held {
            Held::Frame(frame) => line(Line::Whole(frame)),
            Held::TooLong => line(Line::TooLong),
            Held::Superseded => Ok(()),
        })
    }
}

/// What tells the object of a frame from others of its kind, where the frame is just as the API server writes it: type,
/// kind and version, and then its name and namespace before anything else of it. Nothing for a frame that is about no
/// object, or that is written otherwise: that one supersedes nothing.
fn object(line: &[u8]) -> Option<&[u8]> {
    let mut rest = Rest(line);
    rest.skip(b"{\"type\":")?;
    if !matches!(rest.text()?, b"ADDED" | b"MODIFIED" | b"DELETED") {
        return None;
    }
    rest.skip(b",\"object\":{\"kind\":")?;
    rest.text()?;
    rest.skip(b",\"apiVersion\":")?;
    rest.text()?;
    rest.skip(b",\"metadata\":{")?;
    let begin = rest.0;
    rest.skip(b"\"name\":")?;
    rest.text()?;
    if rest.skip(b",\"generateName\":").is_some() {
        rest.text()?;
    }
    if rest.skip(b",\"namespace\":").is_some() {
        rest.text()?;
    }
    // An object keeps these three to its end.
    begin.get(..begin.len() - rest.0.len())
}

/// The rest of a line.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn skip(&mut self, prefix: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(prefix)?;
        Some(())
    }

    /// A string in which nothing is escaped.
    fn text(&mut self) -> Option<&'a [u8]> {
        self.skip(b"\"")?;
        let end = self.0.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        let (text, rest) = self.0.split_at(end);
        self.0 = rest.strip_prefix(b"\"")?;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn frame(type_: &str, name: &str, version: u32) -> String {
        let metadata = format!(
            r#""name":"{name}","generateName":"x-","namespace":"shop","resourceVersion":"{version}""#
        );
        let kind = r#""kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1""#;
        format!(r#"{{"type":"{type_}","object":{{{kind},"metadata":{{{metadata}}}}}}}"#)
    }

    fn left(lines: &[String]) -> Vec<String> {
        left_of(true, lines)
    }

    fn left_of(is_watching: bool, lines: &[String]) -> Vec<String> {
        let (mut ahead, mut left) = (Ahead::new(is_watching), Vec::new());
        lines.iter().for_each(|line| ahead.push(Line::Whole(line.as_bytes())));
        let outcome: Result<(), ()> = ahead.each(|line| {
            let Line::Whole(line) = line else { panic!("too long") };
            left.push(String::from_utf8(line.to_vec()).unwrap());
            Ok(())
        });
        outcome.unwrap();
        left
    }

    #[test]
    fn an_object_is_known_by_how_the_api_server_begins_it() {
        let of = |line: &str| object(line.as_bytes()).map(|key| String::from_utf8(key.to_vec()).unwrap());
        let known = of(&frame("MODIFIED", "web-1", 7)).unwrap();
        assert_eq!(known, r#""name":"web-1","generateName":"x-","namespace":"shop""#);
        assert_eq!(of(&frame("DELETED", "web-1", 8)).as_ref(), Some(&known));
        assert_ne!(of(&frame("MODIFIED", "web-2", 7)).as_ref(), Some(&known));
        let node = r#"{"type":"ADDED","object":{"kind":"Node","apiVersion":"v1","metadata":{"name":"n","uid":"u"}}}"#;
        assert_eq!(of(node).unwrap(), r#""name":"n""#);
        for none in [
            frame("BOOKMARK", "web-1", 7),
            frame("ERROR", "web-1", 7),
            frame("MODIFIED", r"web\u002d1", 7),
            frame("MODIFIED", "web-1", 7).replace("\"metadata\"", "\"spec\":{},\"metadata\""),
            frame("MODIFIED", "web-1", 7).replace("{\"type\"", "{ \"type\""),
            r#"{"type":"ADDED","object":{"kind":"X","apiVersion":"v1","metadata":{"resourceVersion":"7"}}}"#
                .into(),
            frame("MODIFIED", "web-1", 7)[..60].into(),
            String::new(),
        ] {
            assert_eq!(of(&none), None, "{none}");
        }
    }

    #[test]
    fn a_frame_that_nobody_knows_stays_where_it_is() {
        let bookmark = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"5"}}}"#.to_owned();
        let lines =
            [frame("ADDED", "a", 1), frame("ADDED", "b", 2), bookmark.clone(), frame("MODIFIED", "a", 6)];
        assert_eq!(left(&lines), [frame("ADDED", "b", 2), bookmark, frame("MODIFIED", "a", 6)]);
    }

    #[test]
    fn nothing_takes_the_place_of_what_a_list_names() {
        let end = r#"{"type":"BOOKMARK","object":{"metadata":{"annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
        let lines = [frame("ADDED", "a", 1), end.to_owned(), frame("MODIFIED", "a", 6)];
        assert_eq!(left_of(false, &lines), lines);
    }

    #[test]
    fn a_storm_takes_the_room_of_its_objects() {
        let (mut ahead, mut count) = (Ahead::new(true), 0);
        while ahead.has_room() {
            ahead.push(Line::Whole(frame("MODIFIED", &format!("web-{}", count % 100), count).as_bytes()));
            count += 1;
        }
        let frame = frame("MODIFIED", "web-99", count).len();
        assert!(count as usize * frame > READ - frame * 100, "{count} frames were read");
        assert!(ahead.kept <= 101 * frame, "{} bytes are kept", ahead.kept);
        assert_eq!(ahead.last.len(), 100);
    }

    proptest! {
        /// Whatever comes, each object ends as it would have, and versions never go back.
        #[test]
        fn the_last_frame_of_each_object_is_left(
            steps in prop::collection::vec((0..6_u8, prop::bool::weighted(0.2)), 0..60),
        ) {
            let frames = (1..).zip(steps).map(|(version, (name, deleted))| {
                (name, version, frame(if deleted { "DELETED" } else { "MODIFIED" }, &name.to_string(), version))
            });
            let frames: Vec<_> = frames.collect();
            let lines: Vec<_> = frames.iter().map(|(_, _, line)| line.clone()).collect();
            let last: BTreeMap<u8, (u32, String)> =
                frames.into_iter().map(|(name, version, line)| (name, (version, line))).collect();
            let mut expected: Vec<_> = last.into_values().collect();
            expected.sort_unstable();
            prop_assert_eq!(left(&lines), expected.into_iter().map(|(_, line)| line).collect::<Vec<_>>());
        }
    }
}
