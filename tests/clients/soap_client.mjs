// A SOAP client made with the npm package `soap`: a second opinion next to zeep.
//
//   soap_client.mjs WSDL operations
//   soap_client.mjs WSDL call OPERATION ARGUMENTS [--header JSON] [--soap 1.1|1.2] [--address URL]
//
// `operations` prints {operation: input}. `call` prints {"result": ...} or {"fault": {code, message, detail}}
// and exits with 0 for both: a fault is an answer. Anything else exits with 1 and a line on standard error.

import { parseArgs } from 'node:util';
import soap from 'soap';

const TIMEOUT_MS = 15_000;

function readArguments() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      soap: { type: 'string', default: '1.1' },
      address: { type: 'string' },
      header: { type: 'string' },
    },
  });
  const [wsdl, command, operation, input] = positionals;
  if (!wsdl || !['operations', 'call'].includes(command)) throw new Error('usage: soap_client.mjs WSDL operations|call ...');
  if (!['1.1', '1.2'].includes(values.soap)) throw new Error('--soap takes 1.1 or 1.2');
  return { ...values, wsdl, command, operation, input };
}

function operations(client) {
  const ports = Object.values(client.describe()).flatMap((service) => Object.values(service));
  return Object.fromEntries(ports.flatMap((port) => Object.entries(port).map(([name, { input }]) => [name, input])));
}

// SOAP 1.1 section 4.4 names the parts faultcode, faultstring, detail; SOAP 1.2 part 1 section 5.4 Code,
// Reason, Detail.
function readFault(fault) {
  if (fault.Code) {
    const reason = fault.Reason?.Text;
    return { code: fault.Code.Value, message: reason?.$value ?? reason, detail: fault.Detail ?? null };
  }
  const text = (part) => part?.$value ?? part;
  return { code: text(fault.faultcode), message: text(fault.faultstring), detail: fault.detail ?? null };
}

async function call(client, options) {
  if (options.address) client.setEndpoint(options.address);
  const namespace = client.wsdl.definitions.$targetNamespace;
  for (const [name, value] of Object.entries(JSON.parse(options.header ?? '{}'))) {
    client.addSoapHeader({ [name]: value }, name, 'tns', namespace);
  }
  const method = client[`${options.operation}Async`];
  if (!method) throw new Error(`the WSDL has no operation ${options.operation}`);
  try {
    const [result] = await method.call(client, JSON.parse(options.input), { timeout: TIMEOUT_MS });
    return { result };
  } catch (error) {
    const fault = error.root?.Envelope?.Body?.Fault;
    if (!fault) throw error;
    return { fault: readFault(fault) };
  }
}

try {
  const options = readArguments();
  const client = await soap.createClientAsync(options.wsdl, {
    forceSoap12Headers: options.soap === '1.2',
    wsdl_options: { timeout: TIMEOUT_MS },
  });
  const answer = options.command === 'operations' ? operations(client) : await call(client, options);
  console.log(JSON.stringify(answer));
} catch (error) {
  console.error(`soap: ${String(error?.message ?? error).split('\n')[0]}`);
  process.exitCode = 1;
}
