//! Every option of `shunt run` is a word of the file, whoever adds one; and who comes first.

use super::{
    args::ConfigCommand,
    effective::Configuration,
    file, kube_proxy, parse,
    parse::Failure,
    place::Lines,
    words::{Form, Words},
};
use crate::cli::args::{Args, Command};
use clap::{Arg, CommandFactory as _, builder::PossibleValue};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{fs, path::Path};

/// The configuration of `shunt config show` with these arguments.
fn show(more: &[&str]) -> Result<Configuration, Failure> {
    configuration(&[&["shunt", "config", "show"], more].concat())
}

fn configuration(argv: &[&str]) -> Result<Configuration, Failure> {
    let argv: Vec<_> = argv.iter().map(Into::into).collect();
    Ok(match parse(&argv)?.command {
        Command::Run(run) => run.configuration,
        Command::Config(config) => match config.command {
            ConfigCommand::Check(args) | ConfigCommand::Show(args) => args.run.configuration,
        },
        other => panic!("{other:?}"),
    })
}

/// Calls with the words of `shunt run`.
fn with_words(mut look: impl FnMut(&Words<'_>)) {
    let mut command = Args::command();
    command.build();
    look(&Words::of(command.find_subcommand("run").unwrap()));
}

/// Two values that an option takes and that are not its default, as its value names say.
fn samples(arg: &Arg, directory: &Path) -> [String; 2] {
    let default = arg.get_default_values().first().map(|value| value.to_str().unwrap()).unwrap_or_default();
    let form = Form::of(arg);
    let names: Vec<_> = arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let possible = arg.get_possible_values();
    let possible: Vec<_> =
        possible.iter().map(PossibleValue::get_name).filter(|name| *name != default).collect();
    let [one, two] = match (form, names.concat().as_str()) {
        (Form::Switch, _) => [possible[0], possible[0]],
        (Form::Number, _) => ["17", "18"],
        (_, "FILE") => {
            let path = |name| directory.join(name).to_str().unwrap().to_owned();
            return [path("kube-proxy.yaml"), path("kube-proxy-too.yaml")];
        }
        (_, "PATH") => ["/some/where", "/else/where"],
        (_, "NAME" | "ZONE") => ["one", "two"],
        (_, "IP,...") => ["10.0.0.5", "fd00::5"],
        (_, "LEVEL") => ["debug", "shunt=trace"],
        (_, "URL") => ["https://10.0.0.2:6443", "https://10.0.0.3:6443"],
        (_, "DURATION") => ["1m30s", "500ms"],
        (_, "SIZE") => ["64Mi", "1.5G"],
        (_, "ADDRESS:PORT") => ["127.0.0.1:17", "[::1]:18"],
        (_, "LOW-HIGH") => ["1700-1799", "1800-1899"],
        (_, "primary|all|CIDR,...") => ["all", "10.0.0.0/8,fd00::/8"],
        (_, "none|GLOB,..." | "GLOB,...") => ["eth*", "cali*,tap?"],
        _ if !possible.is_empty() => [possible[0], possible[0]],
        (_, other) => panic!("{arg}: a value named {other} is new: give two samples of it here"),
    };
    [one.to_owned(), two.to_owned()]
}

/// How `json` has a value that was given as this text.
fn as_json(arg: &Arg, text: &str) -> Value {
    match Form::of(arg) {
        Form::Switch | Form::Number => text.parse().unwrap(),
        Form::Each => json!([text]),
        Form::Commas if text.contains(',') => text.split(',').collect(),
        Form::Commas | Form::Text => json!(text),
    }
}

/// An empty KubeProxyConfiguration of a mode that decides nothing.
const KUBE_PROXY: &str =
    "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: nftables\n";

fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for name in ["kube-proxy.yaml", "kube-proxy-too.yaml"] {
        fs::write(directory.path().join(name), KUBE_PROXY).unwrap();
    }
    directory
}

#[test]
fn every_option_of_run_is_a_word_of_the_file_and_the_command_line_comes_first() {
    let directory = directory();
    let path = directory.path().join("config.yaml");
    let file = path.to_str().unwrap();
    with_words(|words| {
        assert!(words.iter().count() > 20);
        for arg in words.iter() {
            let word = arg.get_long().unwrap();
            let [low, high] = samples(arg, directory.path());
            // manifests cannot do without a node, nor a context without a kubeconfig.
            let needed = match word {
                "manifests" => "node: n\n",
                "context" => "kubeconfig: /k\n",
                _ => "",
            };
            fs::write(&path, format!("# a comment\n{word}: \"{low}\"\n{needed}")).unwrap();
            let by_file = show(&["--config", file]).unwrap_or_else(|error| panic!("{word}: {error:?}"));
            assert_eq!(by_file.json()[word], as_json(arg, &low), "{word}");
            assert_eq!(by_file.json_with_sources()["sources"][word], json!(format!("{file}:2")), "{word}");
            // What is shown is a file that says the same.
            fs::write(&path, by_file.yaml(false)).unwrap();
            let again = show(&["--config", file]).unwrap().json();
            if word == "kube-proxy-config" {
                assert_eq!(again[word], Value::Null, "what it says stands there itself");
            } else {
                assert_eq!(again, by_file.json(), "{word}");
            }

            fs::write(&path, format!("{word}: {low}\n{needed}")).unwrap();
            let both = show(&["--config", file, &format!("--{word}={high}")]).unwrap();
            assert_eq!(both.json()[word], as_json(arg, &high), "{word}");
            assert_eq!(both.json_with_sources()["sources"][word], json!("command line"), "{word}");
        }
    });
}

#[test]
fn a_wrong_value_of_every_word_names_its_line_and_its_option() {
    let directory = directory();
    let path = directory.path().join("config.yaml");
    let problems = |text: &str| {
        fs::write(&path, text).unwrap();
        match show(&["--config", path.to_str().unwrap()]) {
            Err(Failure::Files(problems)) => problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            other => panic!("{text}: {other:?}"),
        }
    };
    with_words(|words| {
        for arg in words.iter() {
            let word = arg.get_long().unwrap();
            for (value, says) in [
                ("", "has no value"),
                ("{a: b}", "takes no words"),
                ("[]", "empty list"),
                ("[[]]", "is a list of texts"),
            ] {
                let found = problems(&format!("\n\n{word}: {value}\n"));
                assert_eq!(found.len(), 1, "{found:?}");
                assert!(
                    found[0].contains(&format!("config.yaml:3: {word} ")) && found[0].contains(says),
                    "{found:?}"
                );
            }
            if matches!(Form::of(arg), Form::Switch | Form::Number) {
                let found = problems(&format!("\n{word}: sometimes\n"));
                assert!(found[0].contains("config.yaml:2: invalid value 'sometimes' for '--"), "{found:?}");
                assert!(found[0].contains(&arg.to_string()) && found.len() == 1, "{found:?}");
            }
            if !matches!(Form::of(arg), Form::Each | Form::Commas) {
                let found = problems(&format!("{word}: [a, b]\n"));
                assert!(found[0].ends_with("takes one value, not a list"), "{found:?}");
            }
            // A letter more, and the spelling of Go.
            for wrong in [format!("{word}x"), word.replace('-', "").to_uppercase() + "_"] {
                let found = problems(&format!("{wrong}: 1\n"));
                assert!(
                    found[0].ends_with(&format!(
                        "config.yaml:1: \"{wrong}\" is no word of the configuration: did you mean {word}?"
                    )),
                    "{found:?}"
                );
            }
        }
    });
}

#[test]
fn what_stands_for_no_word_is_told_apart() {
    let directory = directory();
    let path = directory.path().join("config.yaml");
    fs::write(&path, "kind: ConfigMap\ndata: {}\nlog: info\n").unwrap();
    let Err(Failure::Files(found)) = show(&["--config", path.to_str().unwrap()]) else {
        panic!("it was taken")
    };
    let found: Vec<_> = found.iter().map(|problem| problem.message.as_str()).collect();
    assert!(found[0].ends_with("kube-proxy's own configuration is for --kube-proxy-config"), "{found:?}");
    assert_eq!(found[1..], ["\"data\" is no word of the configuration"]);
    fs::write(&path, "log: info\nlog: debug\n").unwrap();
    let Err(Failure::Files(found)) = show(&["--config", path.to_str().unwrap()]) else {
        panic!("it was taken")
    };
    assert_eq!(found[0].message, "duplicate mapping key: log");
}

#[test]
fn the_name_of_this_host_is_shown_and_is_no_word_of_the_file() {
    let shown = show(&[]).unwrap();
    let name = shown.json()["node"].as_str().unwrap().to_owned();
    let line = shown.yaml(false).lines().find(|line| line.contains("node: ")).unwrap().to_owned();
    assert!(line.starts_with(&format!("# node: {name}")) && line.ends_with("# name of the host"), "{line}");
    assert!(shown.yaml(true).contains(&format!("\nnode: {name}")) || shown.yaml(true).starts_with("node: "));
}

#[test]
fn a_lower_layer_gives_way_to_what_it_cannot_stand_beside() {
    let directory = directory();
    let path = directory.path().join("config.yaml");
    let file = path.to_str().unwrap();
    fs::write(&path, "startup-spread: 5s\nnode: n\nzone: z\n").unwrap();
    let kube_proxy = directory.path().join("kube-proxy.yaml");
    fs::write(&kube_proxy, format!("{KUBE_PROXY}clientConnection: {{kubeconfig: /k}}\n")).unwrap();
    let files = ["--config", file, "--kube-proxy-config", kube_proxy.to_str().unwrap()];
    let found = show(&[&files[..], &["--manifests", "/m"]].concat()).unwrap();
    assert_eq!(found.json()["kubeconfig"], Value::Null);
    assert_eq!((&found.json()["startup-spread"], &found.json()["zone"]), (&Value::Null, &json!("z")));
    let lines: Vec<_> =
        found.ignored.iter().map(|ignored| (ignored.what.as_str(), ignored.matters)).collect();
    assert!(
        lines.contains(&("startup-spread", false)) && lines.contains(&("clientConnection.kubeconfig", false))
    );
    assert!(
        found.ignored[0].to_string().ends_with("manifests is given (command line)"),
        "{}",
        found.ignored[0]
    );
    assert_eq!(show(&files).unwrap().json()["kubeconfig"], json!("/k"));
}

proptest! {
    /// Whatever stands in a file, each line is a setting or a problem, and nobody panics.
    #[test]
    fn any_text_is_read_or_refused(text in "(\\PC|\n){0,60}|([a-z&*!|>'\"{}\\[\\],:# -]{0,8}(: |\n)){0,12}") {
        let lines = Lines::of(Path::new("f"));
        with_words(|words| {
            let (settings, problems) = file::read(&text, &lines, words);
            for setting in &settings {
                assert!(words.find(&setting.word).is_some() && !setting.values.is_empty());
            }
            for problem in &problems {
                assert!(problem.to_string().starts_with("f"));
            }
        });
        let translated = kube_proxy::read(&text, &lines);
        prop_assert!(!translated.problems.is_empty(), "it has no kind");
        let _ = kube_proxy::read(&format!("{KUBE_PROXY}{text}"), &lines);
    }
}

#[test]
fn the_agent_has_the_same_options_as_what_shows_them() {
    let run = configuration(&["shunt", "--log", "debug", "run", "--node", "n", "--max-flows", "17"]).unwrap();
    let shown = show(&["--node", "n", "--max-flows", "17", "--log", "debug"]).unwrap();
    assert_eq!(run.json_with_sources(), shown.json_with_sources());
    assert_eq!(run.json_with_sources()["sources"]["log"], json!("command line"));
}

/// The page of the documentation, and the tables in it that are written by this test.
#[test]
fn the_documentation_has_every_option_and_every_field() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let mut text = fs::read_to_string(&page).unwrap();
    with_words(|words| {
        let mut table = "| Word, option | Value | Default | |\n|---|---|---|---|\n".to_owned();
        for arg in words.iter() {
            let names: Vec<_> =
                arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
            let shown = arg.get_value_names().unwrap_or_default().concat();
            let value = if names.is_empty() { shown.replace('|', "\\|") } else { names.join(" \\| ") };
            let default =
                arg.get_default_values().first().map(|value| format!("`{}`", value.to_str().unwrap()));
            let help = arg
                .get_long_help()
                .or(arg.get_help())
                .unwrap()
                .to_string()
                .replace('\n', " ")
                .replace('|', "\\|");
            let row = [format!("`{}`", arg.get_long().unwrap()), value, default.unwrap_or_default(), help];
            table.push_str(&format!("| {} |\n", row.join(" | ")));
        }
        text = replaced(&text, "words", &table);
    });
    text = replaced(&text, "fields", &kube_proxy::table());
    if std::env::var_os("SHUNT_WRITE_GOLDEN").is_some() {
        fs::write(&page, &text).unwrap();
    }
    let written = fs::read_to_string(&page).unwrap();
    let difference = text.lines().zip(written.lines()).find(|(wanted, found)| wanted != found);
    assert_eq!(
        difference, None,
        "docs/configuration.md; if this is meant, run the test with SHUNT_WRITE_GOLDEN=1"
    );
    assert_eq!(text.len(), written.len(), "docs/configuration.md");
}

/// The text with what stands between two markers replaced.
fn replaced(text: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: written by a test -->\n"), format!("<!-- end of {name} -->"));
    let (before, rest) = text.split_once(&begin).expect("the first marker");
    let (_, after) = rest.split_once(&end).expect("the last marker");
    format!("{before}{begin}\n{table}\n{end}{after}")
}

#[test]
fn every_field_of_kube_proxy_is_obeyed_or_named_with_its_line() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/everything.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let translated = kube_proxy::read(&text, &Lines::of(Path::new("everything.yaml")));
    assert!(translated.problems.is_empty(), "{:?}", translated.problems);
    let mut said: Vec<_> = translated.ignored.iter().map(ToString::to_string).collect();
    said.extend(translated.settings.iter().map(|setting| setting.source.to_string()));
    for (field, is_obeyed) in kube_proxy::fields() {
        let key = field.rsplit('.').next().unwrap();
        assert!(text.contains(&format!("{key}:")), "{field} is new: set it in {}", path.display());
        if ["apiVersion", "kind"].contains(&field) {
            continue;
        }
        // `file:line: field: value is not used …` or `file:line, field`.
        let is_named = |line: &&String| {
            line.split([' ', ':', ',']).filter(|word| !word.is_empty()).nth(2) == Some(field)
        };
        let named: Vec<_> = said.iter().filter(is_named).collect();
        // bindAddress alone is both: an address that is not used, of a family that is.
        assert_eq!(named.len(), 1, "{field}, obeyed: {is_obeyed}: {named:?}");
        let Some(line) = named.first().and_then(|line| line.split([':', ',']).nth(1)?.parse::<usize>().ok())
        else {
            continue;
        };
        let there = text.lines().nth(line - 1).unwrap();
        assert!(there.trim_start().starts_with(key), "{field} is said to stand on line {line}: {there}");
    }
}
