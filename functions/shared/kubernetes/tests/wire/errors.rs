use std::time::{Duration, Instant};

use tidegate_domain::error::{Error, ErrorName};
use tidegate_domain::node::Pod;
use tidegate_domain::ports::Pods;

use crate::script::{Answer, Script};

async fn error_of(answer: Answer) -> Result<Vec<Pod>, Error> {
    let script = Script::with([answer]);
    script
        .cluster
        .on_node("ours", None, Duration::ZERO, &|_| true)
        .await
}

#[tokio::test]
async fn an_api_server_that_is_overloaded_or_broken_is_unavailable() {
    for code in [408, 410, 429, 500, 502, 503, 504] {
        let error = error_of(Answer::failure(code, "not now"))
            .await
            .expect_err("an error");
        assert_eq!(error.name, ErrorName::KubernetesUnavailable, "{error}");
        assert!(
            error.message.contains("list pods") && error.message.contains("not now"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn missing_rights_name_the_verb_the_resource_and_where_they_are_given() {
    let words =
        "pods is forbidden: User \"u\" cannot list resource \"pods\" in API group \"\" at the cluster scope";
    let error = error_of(Answer::failure(403, words)).await.expect_err("an error");
    assert_eq!(error.name, ErrorName::KubernetesRefused);
    assert_eq!(
        error.message,
        format!("Kubernetes, list pods: label-node may not ({words}): see rbac.yaml of label-node")
    );
}

#[tokio::test]
async fn what_admission_denies_is_no_missing_right() {
    for (code, words) in [
        (
            403,
            "admission webhook \"gate.example.org\" denied the request: not now",
        ),
        (
            500,
            "admission webhook \"gate.example.org\" denied the request: not now",
        ),
        (
            422,
            "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
        ),
        (
            403,
            "pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\"",
        ),
    ] {
        let error = error_of(Answer::failure(code, words))
            .await
            .expect_err("an error");
        assert_eq!(error.name, ErrorName::KubernetesRefused, "{error}");
        assert!(error.message.contains("denied by admission"), "{error}");
        assert!(error.message.contains(words), "{error}");
        assert!(!error.message.contains("rbac.yaml"), "{error}");
    }
}

#[tokio::test]
async fn a_webhook_that_cannot_be_asked_is_named() {
    let words = "Internal error occurred: failed calling webhook \"gate.example.org\": connection refused";
    let error = error_of(Answer::failure(500, words)).await.expect_err("an error");
    assert_eq!(error.name, ErrorName::KubernetesUnavailable);
    assert!(
        error.message.contains("an admission webhook cannot be asked") && error.message.contains(words),
        "{error}"
    );
}

#[tokio::test]
async fn long_words_of_the_api_server_are_cut() {
    let error = error_of(Answer::failure(422, &"\u{e9}".repeat(100_000)))
        .await
        .expect_err("an error");
    assert!(error.message.len() < 2_000, "{} bytes", error.message.len());
}

#[tokio::test]
async fn what_the_api_server_finds_invalid_is_refused() {
    for code in [400, 404, 422] {
        let error = error_of(Answer::failure(code, "no")).await.expect_err("an error");
        assert_eq!(error.name, ErrorName::KubernetesRefused, "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_a_defect() {
    let error = error_of(Answer::With(200, "nonsense".into()))
        .await
        .expect_err("an error");
    assert_eq!(error.name, ErrorName::Defect, "{error}");
}

#[tokio::test]
async fn silence_is_unavailable_long_before_the_function_is_killed() {
    let began = Instant::now();
    let error = error_of(Answer::Silence).await.expect_err("an error");
    assert_eq!(error.name, ErrorName::KubernetesUnavailable, "{error}");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_watch_that_fails_for_good_is_an_error_and_not_an_empty_answer() {
    let script = Script::with([Answer::list(&[]), Answer::failure(403, "may not watch")]);
    let error = script
        .cluster
        .on_node("ours", None, Duration::from_secs(5), &|_| false)
        .await
        .expect_err("an error");
    assert_eq!(error.name, ErrorName::KubernetesRefused);
    assert!(error.message.contains("watch pods"), "{error}");
}
