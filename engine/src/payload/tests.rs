//! The state machine of the payload, as a property: whatever is done to it, its content is what a plain value would hold.

use super::*;
use http_body_util::{BodyExt, StreamBody};
use proptest::prelude::*;
use serde_json::json;

#[derive(Clone, Debug)]
enum Action {
    Buffer,
    Parse,
    ReadModel,
    Change(u8),
    Format,
    Share,
    Take,
    Replace(Vec<u8>),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        Just(Action::Buffer),
        Just(Action::Parse),
        Just(Action::ReadModel),
        any::<u8>().prop_map(Action::Change),
        Just(Action::Format),
        Just(Action::Share),
        Just(Action::Take),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Action::Replace),
    ];
    prop::collection::vec(action, 0..30)
}

fn stream(chunks: Vec<Vec<u8>>) -> Body {
    let frames = chunks
        .into_iter()
        .map(|chunk| Ok::<_, Fault>(http_body::Frame::data(Bytes::from(chunk))));
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}

fn build(bytes: &Bytes) -> Result<Model, Fault> {
    Ok(Model::Json(json!(bytes.to_vec())))
}

fn format(model: &Model) -> Bytes {
    let Model::Json(value) = model else {
        panic!("only JSON here")
    };
    let numbers = value
        .as_array()
        .unwrap()
        .iter()
        .map(|number| u8::try_from(number.as_u64().unwrap()).unwrap());
    numbers.collect::<Vec<u8>>().into()
}

fn apply(payload: &mut Payload, expected: &mut Vec<u8>, action: &Action, runtime: &tokio::runtime::Runtime) {
    match action {
        Action::Buffer => runtime.block_on(payload.buffer(10_000)).unwrap(),
        Action::Parse => payload.parse(build).unwrap(),
        Action::ReadModel => {
            if let Some(model) = payload.as_model() {
                assert_eq!(format(model), expected.as_slice());
            }
        }
        Action::Change(value) => {
            if let Some(Model::Json(json)) = payload.model_mut() {
                json.as_array_mut().unwrap().push(json!(value));
                expected.push(*value);
                assert_eq!(payload.state(), PayloadState::Changed);
                assert!(payload.as_bytes().is_none(), "stale bytes are not to be had");
            }
        }
        Action::Format => {
            if payload.state() == PayloadState::Changed {
                let model = Arc::clone(payload.as_model().unwrap());
                *payload = Payload::formatted(format(&model), model);
            }
        }
        Action::Share => {
            let state = payload.state();
            let shared = payload.share();
            assert_eq!(shared.is_none(), state == PayloadState::Stream);
            let mut shared = shared.unwrap_or_default();
            if let Some(Model::Json(json)) = shared.model_mut() {
                json.as_array_mut().unwrap().push(json!(1));
            }
        }
        Action::Take => {
            let taken = payload.take();
            assert!(payload.is_empty());
            *payload = taken;
        }
        Action::Replace(bytes) => {
            *payload = Payload::bytes(bytes.clone());
            expected.clone_from(bytes);
        }
    }
}

proptest! {
    #[test]
    fn content_is_kept_through_every_state(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..5),
        actions in actions(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut expected: Vec<u8> = chunks.concat();
        let mut payload = Payload::stream(stream(chunks));
        for action in &actions {
            apply(&mut payload, &mut expected, action, &runtime);
        }
        if payload.state() == PayloadState::Changed {
            let model = Arc::clone(payload.as_model().unwrap());
            payload = Payload::formatted(format(&model), model);
        }
        let sent = runtime.block_on(payload.into_body().collect()).unwrap().to_bytes();
        prop_assert_eq!(sent, expected);
    }

    #[test]
    fn the_limit_holds_wherever_the_chunks_fall(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..6),
        limit in 0_u64..150,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let size = chunks.iter().map(Vec::len).sum::<usize>() as u64;
        let mut payload = Payload::stream(stream(chunks));
        let buffered = runtime.block_on(payload.buffer(limit));
        prop_assert_eq!(buffered.is_ok(), size <= limit);
        if let Err(fault) = buffered {
            prop_assert_eq!(fault.code(), FaultCode::BodyTooLarge);
            prop_assert!(payload.is_empty());
        }
    }
}

#[test]
fn unmodified_bytes_are_not_copied() {
    let bytes = Bytes::from_static(b"abc");
    let mut payload = Payload::bytes(bytes.clone());
    payload.parse(build).unwrap();
    assert_eq!(payload.as_bytes().unwrap().as_ptr(), bytes.as_ptr());
    assert_eq!(
        payload.share().unwrap().as_bytes().unwrap().as_ptr(),
        bytes.as_ptr()
    );
}
