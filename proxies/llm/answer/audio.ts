/** Transcription and speech: a transcript is kept, sound is counted. Driven by reader.ts. */
import type { Fold, Ration } from './fold.ts';
import { openaiTokens, statedCost } from './tokens.ts';
import { errorOf, modelOf, type Obj, objectOf, textOf } from './value.ts';

export function audioAnswer(ration: Ration): Fold {
  let text = '';
  const segments: unknown[] = [];
  let soundBytes = 0;
  let final: Obj | undefined;
  let usage: Obj | undefined;
  let [error, model]: (string | undefined)[] = [];
  let [done, came] = [false, false];

  const see = (value: Obj): void => {
    error ??= errorOf(value);
    model ??= modelOf(value.model);
    usage = objectOf(value.usage) ?? usage;
  };

  return {
    piece(value, type, bytes) {
      if (type === '[DONE]') {
        done = true;
        return;
      }
      came = true;
      see(value);
      const delta = textOf(value.delta) ?? '';
      const sound = textOf(value.audio) ?? textOf(value.data) ?? '';
      if (value.type === 'transcript.text.delta') text += ration.take(delta.length) ? delta : '';
      else if (value.type === 'transcript.text.segment') ration.take(bytes) && segments.push(value);
      else if (value.type === 'speech.audio.delta') soundBytes += Math.floor((sound.length * 3) / 4);
      else if (value.type === 'transcript.text.done' || value.type === 'speech.audio.done') {
        done = true;
        final = value;
      } else if (value.type === 'error') error ??= 'error';
    },
    whole: see,
    facts: () => ({ tokens: openaiTokens(usage), costUsd: statedCost(usage), model, error }),
    ended: () => done,
    message() {
      if (!came) return undefined;
      const { type: _type, ...rest } = final ?? {};
      return {
        ...(soundBytes > 0 ? { soundBytes } : { text }),
        ...(segments.length > 0 ? { segments } : {}),
        ...rest,
      };
    },
  };
}
