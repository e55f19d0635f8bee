// An Express program as its documentation shows one.
const express = require('express');
const app = express();
app.get('/', (req, res) => res.send(String(process.pid)));
app.listen(3000);
