//! Credentials that expire, and rules that lack.

use super::{
    api::SERVICES,
    basics::cluster,
    client::Client,
    http::{Server, status},
    objects::service,
};
use shunt::source::kube::{About, KubeError, KubeSource, Notice, Options, Severity};
use std::fs;

#[tokio::test]
async fn a_token_that_was_replaced_is_read_again_at_once() {
    let api = cluster();
    api.state().tokens = ["Bearer first".to_owned()].into();
    let server = Server::start(&api);
    let mut client = Client::start(&server).await;
    client.follows(&api).await;

    // kube reads token files once a minute; a refusal must not wait for that.
    fs::write(client.kubeconfig.path().join("token"), "second").unwrap();
    api.state().tokens = ["Bearer second".to_owned()].into();
    api.end_watches();
    api.put(service("db", 11));
    client.follows(&api).await;
    let said = client.problems.iter().find(|problem| problem.about == About::Access).unwrap();
    assert_eq!(said.severity, Severity::Error);
    assert!(said.text.contains("does not accept our credentials"), "{said}");
    assert_eq!(api.lists(SERVICES), 1);
}

#[tokio::test]
async fn an_exec_plugin_that_hangs_holds_up_nobody_for_ever() {
    let api = cluster();
    api.state().tokens = ["Bearer first".to_owned()].into();
    let server = Server::start(&api);
    let mut client = Client::start_with(&[&server], |options| {
        let directory = options.kubeconfig.as_ref().unwrap().parent().unwrap().to_owned();
        let plugin = format!(
            "if [ -e {directory:?}/hang ]; then exec sleep 3; fi; echo '{{\"apiVersion\": \"client.authentication.k8s.io/v1\", \
             \"kind\": \"ExecCredential\", \"status\": {{\"token\": \"first\"}}}}'"
        );
        fs::write(directory.join("plugin"), plugin).unwrap();
        let path = directory.join("config");
        let config = fs::read_to_string(&path).unwrap();
        let exec = format!(
            "exec: {{apiVersion: client.authentication.k8s.io/v1, command: sh, args: [{:?}], interactiveMode: Never}}",
            directory.join("plugin")
        );
        let begin = config.find("tokenFile:").unwrap();
        let end = begin + config[begin..].find('}').unwrap();
        fs::write(&path, format!("{}{exec}{}", &config[..begin], &config[end..])).unwrap();
    })
    .await;
    client.follows(&api).await;
    fs::write(client.kubeconfig.path().join("hang"), "").unwrap();
    api.state().tokens = ["Bearer second".to_owned()].into();
    api.end_watches();
    let asked = || api.count(SERVICES, "watch=true&resourceVersion=");
    let before = asked();
    client.until("it says so", |client| client.told("not read within 400ms")).await;
    client.meanwhile("it asks again", || asked() > before + 1).await;
    api.state().tokens = ["Bearer first".to_owned()].into();
    api.put(service("db", 11));
    client.follows(&api).await;
}

#[tokio::test]
async fn a_missing_rule_is_named_and_found_once_it_is_there() {
    let api = cluster();
    api.script(SERVICES, (0..3).map(|_| status(403, "services is forbidden: User \"shunt\" cannot list")));
    let server = Server::start(&api);
    let mut client = Client::start(&server).await;
    client.follows(&api).await;
    let rule = "{apiGroups: [\"\"], resources: [\"services\"], verbs: [\"list\", \"watch\"]}";
    assert!(client.told(rule), "{:?}", client.problems);
    assert!(client.notices.iter().any(|notice| matches!(notice, Notice::Forbidden { .. })));
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused() {
    let kubeconfig = super::client::kubeconfig();
    let options = |change: &dyn Fn(&mut Options)| {
        let mut options = super::client::options(&[], &kubeconfig);
        change(&mut options);
        options
    };
    let start = async |options| KubeSource::start(options).await.map(|_| ()).unwrap_err();
    let error = start(options(&|options| options.node.clear())).await;
    assert!(matches!(error, KubeError::NoNode), "{error}");
    for url in ["10.0.0.1:6443", "/api", "ftp://10.0.0.1", "https://", "a b", "https://me:secret@10.0.0.1"] {
        let error = start(options(&|options| options.api_servers = vec![url.into()])).await;
        assert!(matches!(error, KubeError::Url { .. } | KubeError::NoServer { .. }), "{url}: {error}");
    }
    let error = start(options(&|options| options.context = Some("other".into()))).await;
    assert!(matches!(error, KubeError::Kubeconfig { .. }), "{error}");
    let error = start(options(&|options| options.kubeconfig = Some("/nowhere".into()))).await;
    assert!(error.to_string().starts_with("kubeconfig /nowhere: "), "{error}");
    fs::remove_file(kubeconfig.path().join("token")).unwrap();
    let error = start(options(&|_| {})).await;
    assert!(matches!(error, KubeError::Credentials { .. }), "{error}");
}
