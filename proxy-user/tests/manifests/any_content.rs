//! Any content at all: never a panic, never a lost object.

use super::*;

/// Loads files of both kinds with this content.
fn read(content: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.yaml"), content).unwrap();
    fs::write(directory.path().join("b.json"), content).unwrap();
    let (mut set, _) = load(directory.path());
    assert!(set.reload().is_empty());
}

fn example() -> impl Strategy<Value = Vec<u8>> {
    let names = vec!["node.yaml", "web.yaml", "cart.yaml", "dns.yaml", "empty.yaml"];
    prop::sample::select(names).prop_map(|name| fs::read(examples().join(name)).unwrap())
}

/// An example with some of its bytes changed, cut out or doubled.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    const MARKS: &[u8] = b"-:{}[]#&*!|>'\"%@`,? \n\t0";
    let edit = (any::<prop::sample::Index>(), 0_usize..4, any::<u8>(), 1_usize..40);
    (example(), prop::collection::vec(edit, 1..12)).prop_map(|(mut text, edits)| {
        for (place, what, byte, length) in edits {
            if text.is_empty() {
                break;
            }
            let at = place.index(text.len());
            let end = (at + length).min(text.len());
            match what {
                0 => text[at] = byte,
                1 => text.insert(at, MARKS[usize::from(byte) % MARKS.len()]),
                2 => drop(text.drain(at..end)),
                _ => {
                    let copy = text[at..end].to_vec();
                    text.splice(at..at, copy);
                }
            }
        }
        text
    })
}

/// Two files of three Services, as numbers: which address each has; 0 for none.
type Version = [[u8; 3]; 2];

fn write(directory: &Path, version: &Version) {
    for (file, addresses) in ["a.yaml", "b.yaml"].into_iter().zip(version) {
        let there = addresses.iter().enumerate().filter(|(_, address)| **address != 0);
        let text: Vec<_> = there
            .map(|(index, address)| service(&format!("s{index}"), &format!("10.0.0.{address}")))
            .collect();
        let path = directory.join(file);
        if text.is_empty() {
            let _ = fs::remove_file(path);
        } else {
            fs::write(path, documents(&text)).unwrap();
        }
    }
}

fn versions() -> impl Strategy<Value = Vec<Version>> {
    prop::collection::vec(prop::array::uniform2(prop::array::uniform3(0_u8..4)), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_never_panic(content in prop::collection::vec(any::<u8>(), 0..400)) {
        read(&content);
    }

    #[test]
    fn text_never_panics(content in "[-a:{}\\[\\]#&*!|>'\"%@,?0 \n\t.é]{0,200}") {
        read(content.as_bytes());
    }

    #[test]
    fn mutated_examples_never_panic(content in mutated()) {
        read(&content);
    }

    #[test]
    fn any_history_ends_where_a_fresh_start_does(versions in versions()) {
        let directory = tempfile::tempdir().unwrap();
        let (mut set, mut state) = load(directory.path());
        for version in &versions {
            write(directory.path(), version);
            state.apply(set.reload());
            let (_, fresh) = load(directory.path());
            prop_assert_eq!(&state.services, &fresh.services);
        }
    }
}
