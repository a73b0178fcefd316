// Asks snarkjs about files of ours, and makes some for us to check: `node check.mjs FOLDER`, called by ../snarkjs.rs.
// Prints a JSON object: what was asked, and the answer.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as snarkjs from "snarkjs";

const folder = process.argv[2];
const file = (name) => join(folder, name);
const json = async (name) => JSON.parse(await readFile(file(name), "utf8"));
const hex = (bytes) => Buffer.from(bytes).toString("hex");

const said = [];
const logger = { debug() {}, info() {}, warn() {}, error: (message) => said.push(message) };
// snarkjs tells some faults to the console, whatever logger it has.
console.log = (message) => said.push(message);

const { powersOfTau, zKey, groth16 } = snarkjs;
const answers = {
  "small powers of tau": await powersOfTau.verify(file("small.ptau"), logger),
  "small key": await zKey.verifyFromR1cs(file("small.r1cs"), file("small.ptau"), file("small.zkey"), logger),
  "spoilt small key": await zKey.verifyFromR1cs(file("small.r1cs"), file("small.ptau"), file("spoilt.zkey"), logger),
  "circuit hash": hex(await zKey.newZKey(file("small.r1cs"), file("small.ptau"), file("theirs-0.zkey"), logger)),
  "contribution hash": hex(await zKey.contribute(file("small.zkey"), file("theirs-1.zkey"), "Eve", "entropy", logger)),
  "beacon hash": hex(await zKey.beacon(file("theirs-1.zkey"), file("theirs.zkey"), "Fay", "ab".repeat(32), 10, logger)),
};
await powersOfTau.contribute(file("unprepared.ptau"), file("theirs-1.ptau"), "Eve", "entropy", logger);
await powersOfTau.beacon(file("theirs-1.ptau"), file("theirs-2.ptau"), "Fay", "ab".repeat(32), 10, logger);
await powersOfTau.preparePhase2(file("theirs-2.ptau"), file("theirs.ptau"), logger);

answers["powers of tau"] = await powersOfTau.verify(file("pass.ptau"), logger);
answers["key"] = await zKey.verifyFromR1cs(file("pass.r1cs"), file("pass.ptau"), file("pass.zkey"), logger);
answers["proof"] = await groth16.verify(await json("keys/verification_key.json"), await json("public.json"), await json("proof.json"), logger);

process.stdout.write(JSON.stringify({ answers, said }));
// Its workers would keep the process alive.
process.exit(0);
