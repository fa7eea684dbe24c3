/** One turn of the built-in agent: model, tools, model again, until the model has ended. The server calls it once for each request. */
import { Failure } from './failure.ts';
import { callModel, type Message, type Model, type Reply } from './model.ts';
import { openTools, type Tools } from './tools.ts';

export type Settings = {
  agent: string;
  /** The operator's own words to this agent; empty for none. */
  instructions: string;
  model: Model;
  toolsUrl: string;
};

export type Turn = {
  messages: Message[];
  signal: AbortSignal;
  onText: (text: string) => void;
};

const maxRounds = 16; // enough for real work, and an end for a model that calls tools in circles

/** Gives the finish reason. Throws a Failure, or the signal's reason when it was aborted. */
export async function runTurn(settings: Settings, turn: Turn): Promise<'stop' | 'length'> {
  if (settings.model.name === '') {
    throw new Failure(
      'no-model',
      503,
      `agent ${settings.agent} has no model: set agents.${settings.agent}.model in holdfast.yaml`,
    );
  }
  const tools = await openTools(settings.toolsUrl, turn.signal);
  try {
    return await rounds(settings, turn, tools);
  } finally {
    await tools.close();
  }
}

async function rounds(settings: Settings, turn: Turn, tools: Tools): Promise<'stop' | 'length'> {
  const messages = withOurWords(settings, tools, turn.messages);
  let spoken = false;
  for (let round = 0; round < maxRounds; round += 1) {
    let fresh = spoken; // words of two rounds are two paragraphs
    const reply = await callModel(settings.model, {
      messages,
      tools: tools.list,
      signal: turn.signal,
      onText: (text) => {
        turn.onText(fresh ? `\n\n${text}` : text);
        fresh = false;
        spoken = true;
      },
    });
    // A sparse list has holes where the provider skipped an index.
    const calls = reply.toolCalls.filter((each) => each !== undefined);
    if (calls.length === 0) return ended(reply, turn, spoken);
    messages.push({ role: 'assistant', content: reply.text === '' ? null : reply.text, tool_calls: calls });
    for (const call of calls) {
      turn.signal.throwIfAborted();
      const content = await tools.call(call.function.name, call.function.arguments, turn.signal);
      messages.push({ role: 'tool', tool_call_id: call.id, content });
    }
  }
  turn.onText(`${spoken ? '\n\n' : ''}(Stopped after ${maxRounds} rounds of tool calls without an end.)`);
  return 'length';
}

function ended(reply: Reply, turn: Turn, spoken: boolean): 'stop' | 'length' {
  const gap = spoken ? '\n\n' : '';
  if (reply.finish === 'length') {
    turn.onText(`${gap}(The model reached its length limit here.)`);
    return 'length';
  }
  if (reply.finish === 'content_filter')
    turn.onText(`${gap}(The provider's content filter ended this answer.)`);
  else if (!spoken) turn.onText('(The model gave an empty answer.)');
  return 'stop';
}

/** Some local models read one system message only, so ours and the operator's are one. */
function withOurWords({ agent, instructions }: Settings, tools: Tools, messages: Message[]): Message[] {
  const ours = [
    `You are ${agent}, an agent held by Holdfast. You speak with your operator in a chat that shows plain text only.`,
    tools.missing
      ? `You have no tools now: ${tools.missing}. Where a task needs one, say so plainly and do not pretend.`
      : 'A tool call may wait for the operator to say yes, and a no is an answer: do not repeat the call. Say what you did and what was refused.',
  ].join('\n');
  const theirs = messages.filter((each) => each.role === 'system').map((each) => each.content);
  return [
    { role: 'system', content: [ours, instructions, ...theirs].filter((each) => each !== '').join('\n\n') },
    ...messages.filter((each) => each.role !== 'system'),
  ];
}
