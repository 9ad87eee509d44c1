const markdown = markdownit({ breaks: true });
const {AdaptiveCard, HostConfig, Version} = AdaptiveCards;
AdaptiveCard.onProcessMarkdown = (text, result) => {
  const called = text.replace(/<at>(.*?)<\/at>/g, '\u0001$1\u0002');
  result.outputHtml = markdown.render(called)
    .replace(/\u0001/g, '<span class=mention>').replace(/\u0002/g, '</span>');
  result.didProcess = true;
};
const card = new AdaptiveCard();
card.hostConfig = new HostConfig(told.host);
card.parse(told.card);
document.getElementById('card').appendChild(card.render());
document.getElementById('text').innerHTML = markdown.render(told.text)
  .replace(/\[(\d+)\]/g, '<span class=cited>$1</span>');
if (!told.text) document.getElementById('text').remove();
const wanted = [...document.querySelectorAll('button')].find((one) => one.title === told.unfolded
  || one.innerText.trim() === told.unfolded);
if (told.unfolded && wanted) wanted.click();
