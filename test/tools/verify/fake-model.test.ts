import t from 'tap';
import { fakeModel } from '../../../tools/verify/fake-model.js';

void t.test('the formula of a stand-in for the U-Net, with any signs and order', async (t) => {
  const at = (formula: string): number => Number(fakeModel(formula)(0.5, 200).toFixed(9));
  t.equal(at('eps = 0.1*x_in + 0.01*(t/1000)'), 0.052);
  t.equal(at('eps = 0.8*tanh(x_in) - 0.05*(t/1000)'), Number((0.8 * Math.tanh(0.5) - 0.01).toFixed(9)));
  t.equal(at('-1e-1*x_in - .5*t/1000'), -0.15);
  t.equal(at('eps = -0.05*(t/1000) + x_in*0.8 - 1.5e-2'), 0.375);
  t.equal(at('x_in - tanh(x_in)*x_in'), Number((0.5 - 0.5 * Math.tanh(0.5)).toFixed(9)));
  t.throws(() => fakeModel('0.8*relu(x_in)'), {
    name: 'UserError',
    message: /has the factor "relu\(x_in\)"; known are/,
  });
  t.throws(() => fakeModel('eps ='), { name: 'UserError', message: 'meta.fake_model: "eps =" has no term' });
});
