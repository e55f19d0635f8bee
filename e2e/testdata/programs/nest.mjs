// NestJS, its decorators called as the compiler of TypeScript calls them.
import 'reflect-metadata';
import { setTimeout as sleep } from 'timers/promises';
import { Controller, Get, Headers, Module, Res } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
class Root {
  async find(headers, res) {
    const id = headers['x-ledger-id'] ?? '';
    await sleep(Number(headers['x-ledger-first-byte-ms'] ?? 0));
    res.set({ 'X-Ledger-Id': id, 'X-Rondo-Pid': process.pid }).send(`${id}\n`);
  }
}
Headers()(Root.prototype, 'find', 0);
Res()(Root.prototype, 'find', 1);
Get()(Root.prototype, 'find', Object.getOwnPropertyDescriptor(Root.prototype, 'find'));
Controller()(Root);
class App {}
Module({ controllers: [Root] })(App);
const app = await NestFactory.create(App, { logger: ['warn', 'error', 'fatal'] });
await app.listen(3000);
