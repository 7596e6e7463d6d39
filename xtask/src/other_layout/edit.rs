//! Changes to Rust sources that hold as the sources change, or fail.

use super::sources::Sources;
use anyhow::{Context as _, Result, bail, ensure};

/// Where values of the types of maps are made.
const CRATES: [&str; 3] = ["proxy-common/src", "proxy-ebpf/src", "proxy-user/src"];

/// Bytes of a field that is added.
const ADDED_SIZE: u32 = 8;

/// The new order of a struct's fields.
pub enum Order {
    /// The last one first: what was without padding still is.
    Reversed,
    /// This one, of all fields.
    Given(&'static [&'static str]),
}

/// Replaces what occurs once.
///
/// # Errors
/// It does not, or more often.
pub fn replace(sources: &mut Sources, file: &str, old: &str, new: &str) -> Result<()> {
    let text = sources.text(file)?;
    let found = text.matches(old).count();
    ensure!(found == 1, "{file} has {old:?} {found} times, and once is wanted");
    sources.put(file, text.replacen(old, new, 1));
    Ok(())
}

/// Adds to the number that follows `before`.
///
/// # Errors
/// There is none.
pub fn add(sources: &mut Sources, file: &str, before: &str, more: u32) -> Result<()> {
    let text = sources.text(file)?;
    let (_, rest) = text.split_once(before).with_context(|| format!("{file} has no {before:?}"))?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    let number: u32 = digits.parse().with_context(|| format!("number behind {before:?} in {file}"))?;
    let (old, new) = (format!("{before}{number}"), format!("{before}{}", number + more));
    replace(sources, file, &old, &new)
}

/// Puts something behind the version of the workspace's packages, in the lock files too.
///
/// # Errors
/// They do not all have the version that the workspace says.
pub fn rename_version(sources: &mut Sources, suffix: &str) -> Result<()> {
    let before = "[workspace.package]\nversion = \"";
    let text = sources.text("Cargo.toml")?;
    let (_, rest) = text.split_once(before).with_context(|| format!("Cargo.toml has no {before:?}"))?;
    let (version, _) = rest.split_once('"').context("the version in Cargo.toml has no end")?;
    let (old, new) = (format!("{before}{version}\""), format!("{before}{version}{suffix}\""));
    replace(sources, "Cargo.toml", &old, &new)?;
    for (lock, packages) in [
        ("Cargo.lock", &["benches", "proxy-common", "proxy-user", "xtask"][..]),
        ("proxy-ebpf/Cargo.lock", &["proxy-common"]),
    ] {
        for package in packages {
            let line = format!("name = \"{package}\"\nversion = \"{version}");
            replace(sources, lock, &format!("{line}\"\n"), &format!("{line}{suffix}\"\n"))?;
        }
    }
    Ok(())
}

/// Gives a struct's fields another order and, in front of them, one more of 8 bytes, which is zero wherever a value is
/// made of all its fields. The assertion of its size goes along.
///
/// # Errors
/// The struct, its size or its fields are not as the rule knows them.
pub fn restructure(
    sources: &mut Sources,
    file: &str,
    name: &str,
    order: &Order,
    added: Option<(&str, &str)>,
) -> Result<()> {
    let text = sources.text(file)?;
    let opening = format!("pub struct {name} {{\n");
    let (before, rest) = text.split_once(&opening).with_context(|| format!("{file} has no struct {name}"))?;
    let (body, after) = rest.split_once("\n}\n").with_context(|| format!("struct {name} has no end"))?;
    let mut fields = fields(body)?;
    match order {
        Order::Reversed => fields.reverse(),
        Order::Given(names) => {
            ensure!(
                fields.len() == names.len(),
                "struct {name} has {} fields, and its rule in xtask/src/other_layout names {}",
                fields.len(),
                names.len()
            );
            let place = |field: &str| names.iter().position(|name| *name == field);
            if let Some((unknown, _)) = fields.iter().find(|(field, _)| place(field).is_none()) {
                bail!("the rule of struct {name} in xtask/src/other_layout does not name {unknown}");
            }
            fields.sort_by_key(|(field, _)| place(field));
        }
    }
    let mut body: String = fields.into_iter().map(|(_, lines)| lines).collect();
    if let Some((field, kind)) = added {
        body = format!("    /// Of a later version.\n    pub {field}: {kind},\n{body}");
    }
    sources.put(file, format!("{before}{opening}{}\n}}\n{after}", body.trim_end_matches('\n')));
    let Some((field, _)) = added else { return Ok(()) };
    add(sources, file, &format!("size_of::<{name}>() == "), ADDED_SIZE)?;
    let users: Vec<String> = CRATES.into_iter().flat_map(|directory| sources.rust(directory)).collect();
    for file in users {
        let text = sources.text(&file)?;
        let changed = fill(&text, name, field).with_context(|| file.clone())?;
        if changed != text {
            sources.put(&file, changed);
        }
    }
    Ok(())
}

/// The fields of a struct's body: names, and their lines with documentation and attributes.
fn fields(body: &str) -> Result<Vec<(String, String)>> {
    let (mut fields, mut lines) = (Vec::new(), String::new());
    for line in body.lines() {
        lines.push_str(line);
        lines.push('\n');
        let code = line.trim();
        if code.is_empty() || code.starts_with("//") || code.starts_with('#') {
            continue;
        }
        let (field, _) = code.split_once(':').with_context(|| format!("{code:?} is no field"))?;
        let field = field.rsplit(' ').next().unwrap_or_default().to_owned();
        ensure!(code.ends_with(','), "{code:?} is not a field's whole line");
        fields.push((field, std::mem::take(&mut lines)));
    }
    Ok(fields)
}

/// Puts `field: 0` into every value of struct `name` that is made of all its fields.
fn fill(text: &str, name: &str, field: &str) -> Result<String> {
    let filled = fill_literals(text, &format!("{name} {{"), field)?;
    let implementation = format!("impl {name} {{");
    let Some((before, rest)) = filled.split_once(&implementation) else { return Ok(filled) };
    let end = closing(rest).with_context(|| format!("{implementation} has no end"))?;
    let (body, after) = rest.split_at(end);
    Ok(format!("{before}{implementation}{}{after}", fill_literals(body, "Self {", field)?))
}

fn fill_literals(text: &str, opening: &str, field: &str) -> Result<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(opening) {
        filled.push_str(before);
        filled.push_str(opening);
        rest = after;
        let line = before.rsplit('\n').next().unwrap_or_default();
        let is_value = !line.contains("//")
            && !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '"')
            && !["struct ", "impl ", "for ", "-> "].iter().any(|word| before.ends_with(word));
        if !is_value {
            continue;
        }
        let end = closing(after).with_context(|| format!("{line}{opening} has no end"))?;
        let (inside, _) = after.split_at(end);
        if !inside.contains("..") {
            filled.push_str(&format!(" {field}: 0,"));
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Where the brace closes that was opened right before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    for (place, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(place);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "\
/// An entry.
#[repr(C)]
pub struct Entry {
    /// Whom.
    pub address: Address,
    /// Bits.
    kind: u32,
    /// Zero.
    pub reserved: u32,
}

impl Entry {
    pub const fn new(address: Address) -> Self {
        Self { address, kind: 0, reserved: 0 }
    }

    pub fn other(&self) -> Entry {
        Self { kind: 1, ..*self }
    }
}

const _: () = assert!(size_of::<Entry>() == 24);
";
    const USER: &str = "\
fn make() -> Entry {
    // No Entry { address } here.
    let old = ReverseEntry { address };
    let entry = Entry { address: Address { words }, kind, reserved: 0 };
    Entry { kind: 3, ..entry }
}
";

    fn sources() -> Sources {
        Sources::of(&[("proxy-common/src/abi/entry.rs", ENTRY), ("proxy-user/src/user.rs", USER)])
    }

    #[test]
    fn fields_change_places_and_one_is_added_wherever_values_are_made() {
        let (mut sources, file) = (sources(), "proxy-common/src/abi/entry.rs");
        restructure(&mut sources, file, "Entry", &Order::Reversed, Some(("later", "u64"))).unwrap();
        let text = sources.text(file).unwrap();
        let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} in {text}"));
        assert!(
            place("pub later: u64,\n    /// Zero.\n    pub reserved: u32,\n    /// Bits.\n    kind: u32,")
                > 0
        );
        assert!(place("/// Whom.\n    pub address: Address,\n}\n") > place("kind: u32"));
        assert!(place("Self { later: 0, address, kind: 0, reserved: 0 }") > 0);
        assert!(place("Self { kind: 1, ..*self }") > 0);
        assert!(place("size_of::<Entry>() == 32)") > 0);
        let user = sources.text("proxy-user/src/user.rs").unwrap();
        assert_eq!(user, USER.replace(" Entry { address: A", " Entry { later: 0, address: A"));
    }

    #[test]
    fn what_a_rule_does_not_know_is_an_error() {
        let file = "proxy-common/src/abi/entry.rs";
        let given = |names| restructure(&mut sources(), file, "Entry", &Order::Given(names), None);
        given(&["kind", "reserved", "address"]).unwrap();
        let told = given(&["kind", "address"]).unwrap_err().to_string();
        assert_eq!(told, "struct Entry has 3 fields, and its rule in xtask/src/other_layout names 2");
        let told = given(&["kind", "address", "port"]).unwrap_err().to_string();
        assert_eq!(told, "the rule of struct Entry in xtask/src/other_layout does not name reserved");
        let order = Order::Reversed;
        assert!(restructure(&mut sources(), file, "Other", &order, None).is_err());
        assert!(replace(&mut sources(), file, "kind", "sort").is_err());
        assert!(add(&mut sources(), file, "VERSION = ", 1).is_err());
    }
}
